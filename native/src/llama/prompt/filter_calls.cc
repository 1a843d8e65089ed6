#include "llama/prompt/filter_calls.h"

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "llama/prompt/template_node.h"

namespace pyserve {
namespace {

// The argument of a test that takes none.
struct NoArgument : TemplateExpression {
  jinja::value execute_impl(jinja::context&) const override {
    return jinja::mk_val<jinja::value_undefined>();
  }
};

// `format` with the values that are to be filled in; where each comes from stays known.
struct Formatted : TemplateWrapper {
  Formatted(jinja::statement_ptr text, jinja::statements filled_in)
      : TemplateWrapper(std::move(text)), values(std::move(filled_in)) {}

  jinja::value execute_impl(jinja::context& context) const override {
    const jinja::string given = inner->execute(context)->as_string();
    const std::string text = given.str();
    const bool is_input = given.all_parts_are_input();
    jinja::string filled;
    size_t next = 0;
    size_t begin = 0;
    for (size_t at = text.find('%'); at != std::string::npos; at = text.find('%', begin)) {
      const char sign = at + 1 < text.size() ? text[at + 1] : '\0';
      add(filled, text.substr(begin, at - begin + (sign == '%' ? 1 : 0)), is_input);
      begin = at + 2;
      if (sign == '%') continue;
      if (sign != 's' && sign != 'd' && sign != 'i') {
        throw std::runtime_error("format: only %s, %d, %i and %% can be filled in");
      }
      if (next == values.size()) throw std::runtime_error("format: too few values");
      const jinja::string value = values[next++]->execute(context)->as_string();
      filled.parts.insert(filled.parts.end(), value.parts.begin(), value.parts.end());
    }
    if (begin < text.size()) add(filled, text.substr(begin), is_input);
    return jinja::mk_val<jinja::value_string>(filled);
  }

  static void add(jinja::string& filled, std::string part, bool is_input) {
    if (!part.empty()) filled.parts.push_back({is_input, std::move(part)});
  }

  jinja::statements values;
};

// How many arguments a filter has before those of its test; -1: it has no test.
int arguments_before_those_of_test(const std::string& filter) {
  if (filter == "select" || filter == "reject") return 1;
  if (filter == "selectattr" || filter == "rejectattr") return 2;
  return -1;
}

void settle(jinja::filter_expression& filtered) {
  auto* call = dynamic_cast<jinja::call_expression*>(filtered.filter.get());
  if (call == nullptr) return;
  const auto* name = dynamic_cast<const jinja::identifier*>(call->callee.get());
  if (name == nullptr) return;
  if (static_cast<int>(call->args.size()) == arguments_before_those_of_test(name->val)) {
    call->args.push_back(std::make_unique<NoArgument>());
  }
  if (name->val != "format") return;
  filtered.operand =
      std::make_unique<Formatted>(std::move(filtered.operand), std::move(call->args));
  filtered.filter = std::make_unique<TemplateNode<jinja::identifier>>("string");
}

}  // namespace

void settle_filter_calls(jinja::program& program) {
  jinja::context visiting;
  std::vector<jinja::filter_expression*> found;
  visiting.visitor = [&](bool, const jinja::statement* node,
                         std::vector<jinja::visitor_pair> parts) {
    // The visitor shows nodes as const.
    auto* filtered = dynamic_cast<jinja::filter_expression*>(const_cast<jinja::statement*>(node));
    if (filtered != nullptr) found.push_back(filtered);
    for (const auto& [label, children] : parts) {
      for (const jinja::statement* child : children) {
        if (child != nullptr) child->visit(visiting);
      }
    }
  };
  for (const jinja::statement_ptr& statement : program.body) statement->visit(visiting);
  for (jinja::filter_expression* filtered : found) settle(*filtered);
}

}  // namespace pyserve
