// Keeps the template of a model file from using up the stack, the time or the memory of its engine.
#pragma once

#include <vector>

#include "jinja/lexer.h"
#include "jinja/runtime.h"

namespace pyserve {

// Throws std::runtime_error for a template that the vendored parser, which recurses, should not
// see: longer or nested deeper than any that is meant well.
void check_template_size(const jinja::lexer_result& tokens);

// Has every loop and macro of `program` draw on the budget of its thread, and bounds range() and
// texts that are multiplied or joined. Methods are true where a condition is wanted, have no
// members, and are no members of objects in brackets, nor of namespaces. What is undefined is
// looked for in lists as none is, and the list of an object has its keys.
void guard_template(jinja::program& program);

// What the templates that this thread runs may use in all, while it lives; then they fail.
class TemplateBudget {
 public:
  TemplateBudget();
  ~TemplateBudget();
  TemplateBudget(const TemplateBudget&) = delete;
  TemplateBudget& operator=(const TemplateBudget&) = delete;

  // Whether a template came to its end; it may have caught the failure.
  bool is_exhausted() const { return is_exhausted_; }

  // Throws std::runtime_error when the CPU time, memory or stack of the thread's budget is used.
  static void charge();

  // The first factor of a product, kept until the second is known.
  static void keep(jinja::value factor);
  static jinja::value take();

 private:
  const char* stack_base_;
  double began_s_;
  long began_kib_;
  bool is_exhausted_ = false;
  std::vector<jinja::value> factors_;
};

}  // namespace pyserve
