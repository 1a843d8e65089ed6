#include "llama/prompt/template_guard.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/pulse.h"
#include "llama/prompt/template_node.h"

namespace pyserve {
namespace {

constexpr size_t kMaxSourceBytes = 512 << 10;
constexpr int kMaxNesting = 64;
constexpr int kMaxTagTokens = 4096;
constexpr double kMaxCpuS = 2.0;
constexpr long kMaxGrowthKib = 512 << 10;
constexpr std::ptrdiff_t kMaxStackBytes = 2 << 20;
constexpr int64_t kMaxRange = 100'000;
constexpr int64_t kMaxTextBytes = 16 << 20;

thread_local TemplateBudget* current_budget = nullptr;

double thread_cpu_s() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

long peak_kib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

// How many blocks a tag opens (1), closes (-1) or lengthens (an `elif` is nested in the one
// before).
int block_change(const std::string& word) {
  for (const char* opener : {"if", "elif", "for", "macro", "call", "filter", "generation"}) {
    if (word == opener) return 1;
  }
  return word.starts_with("end") && word != "endset" ? -1 : 0;
}

int bracket_change(jinja::token::type type) {
  using token = jinja::token;
  switch (type) {
    case token::open_paren:
    case token::open_square_bracket:
    case token::open_curly_bracket:
      return 1;
    case token::close_paren:
    case token::close_square_bracket:
    case token::close_curly_bracket:
      return -1;
    default:
      return 0;
  }
}

// Stands at the head of loops and macros.
struct Charge : TemplateStatement {
  jinja::value execute_impl(jinja::context&) const override {
    TemplateBudget::charge();
    return jinja::mk_val<jinja::value_undefined>();
  }
};

jinja::value bounded_range(const jinja::func_args& args) {
  for (const jinja::value& arg : args.get_args()) {
    const int64_t n = arg->as_int();
    if (n > kMaxRange || n < -kMaxRange) {
      throw std::runtime_error("range() goes to " + std::to_string(n) + ", at most " +
                               std::to_string(kMaxRange));
    }
  }
  return jinja::global_builtins().at("range")(args);
}

// Its attributes may have the names of methods: `space.items`.
jinja::value bare_namespace(const jinja::func_args& args) {
  jinja::value made = jinja::global_builtins().at("namespace")(args);
  if (auto* space = dynamic_cast<jinja::value_object_t*>(made.get())) space->has_builtins = false;
  return made;
}

// Stands at the head of the program: its range() is bounded, its namespaces have no methods.
struct Prelude : TemplateStatement {
  jinja::value execute_impl(jinja::context& context) const override {
    context.set_val("range", jinja::mk_val<jinja::value_func>(std::string("range"), bounded_range));
    context.set_val("namespace",
                    jinja::mk_val<jinja::value_func>(std::string("namespace"), bare_namespace));
    return jinja::mk_val<jinja::value_undefined>();
  }
};

int64_t text_bytes(const jinja::value& value) {
  if (!jinja::is_val<jinja::value_string>(value)) return 0;
  return static_cast<int64_t>(value->val_str.length());
}

void check_sum(const jinja::value& first, const jinja::value& second) {
  const int64_t n_bytes = text_bytes(first) + text_bytes(second);
  if (n_bytes > kMaxTextBytes) {
    throw std::runtime_error("a text of " + std::to_string(n_bytes) + " bytes, at most " +
                             std::to_string(kMaxTextBytes));
  }
}

void check_product(const jinja::value& text, const jinja::value& times) {
  if (!jinja::is_val<jinja::value_string>(text) || !jinja::is_val<jinja::value_int>(times)) return;
  const auto n_bytes = static_cast<int64_t>(text->as_string().str().size());
  if (times->as_int() > kMaxTextBytes / std::max<int64_t>(n_bytes, 1)) {
    throw std::runtime_error("a text of " + std::to_string(n_bytes) + " bytes is repeated " +
                             std::to_string(times->as_int()) + " times");
  }
}

// Stand for the factors of a product, or the texts of a sum, which are computed one right after the
// other.
struct FirstFactor : TemplateWrapper {
  using TemplateWrapper::TemplateWrapper;
  jinja::value execute_impl(jinja::context& context) const override {
    jinja::value value = inner->execute(context);
    TemplateBudget::keep(value);
    return value;
  }
};

struct SecondFactor : TemplateWrapper {
  SecondFactor(jinja::statement_ptr factor, bool is_of_sum)
      : TemplateWrapper(std::move(factor)), is_sum(is_of_sum) {}
  jinja::value execute_impl(jinja::context& context) const override {
    const jinja::value first = TemplateBudget::take();
    jinja::value second = inner->execute(context);
    if (is_sum) {
      check_sum(first, second);
    } else {
      check_product(first, second);
      check_product(second, first);
    }
    return second;
  }
  bool is_sum;
};

// What a member is looked up in. `schema['items']` is undefined where there is no such member,
// instead of a method; so are all members of methods.
struct Owner : TemplateWrapper {
  Owner(jinja::statement_ptr owner, std::string member)
      : TemplateWrapper(std::move(owner)), key(std::move(member)) {}
  jinja::value execute_impl(jinja::context& context) const override {
    jinja::value value = inner->execute(context);
    const bool is_method = !key.empty() && jinja::is_val<jinja::value_object>(value) &&
                           value->get_builtins().contains(key) &&
                           !value->has_key(jinja::mk_val<jinja::value_string>(key));
    if (!is_method && !jinja::is_val<jinja::value_func>(value)) return value;
    auto nothing = jinja::mk_val<jinja::value_object>();
    nothing->has_builtins = false;
    return nothing;
  }
  std::string key;  // "": any
};

void guard_owner(jinja::statement& node) {
  auto* member = dynamic_cast<jinja::member_expression*>(&node);
  if (member == nullptr) return;
  auto* key = dynamic_cast<jinja::string_literal*>(member->property.get());
  member->object = std::make_unique<Owner>(
      std::move(member->object), member->computed && key != nullptr ? key->val : std::string());
}

// A condition. Methods are true, as in Python.
struct Condition : TemplateWrapper {
  using TemplateWrapper::TemplateWrapper;
  jinja::value execute_impl(jinja::context& context) const override {
    jinja::value value = inner->execute(context);
    if (!jinja::is_val<jinja::value_func>(value)) return value;
    return jinja::mk_val<jinja::value_bool>(true);
  }
};

void wrap_condition(jinja::statement_ptr& condition) {
  condition = std::make_unique<Condition>(std::move(condition));
}

void guard_conditions(jinja::statement& node) {
  if (auto* choice = dynamic_cast<jinja::if_statement*>(&node)) wrap_condition(choice->test);
  if (auto* choice = dynamic_cast<jinja::ternary_expression*>(&node)) {
    wrap_condition(choice->condition);
  }
  auto* operation = dynamic_cast<jinja::binary_expression*>(&node);
  if (operation != nullptr && (operation->op.value == "and" || operation->op.value == "or")) {
    wrap_condition(operation->left);
  }
  auto* negation = dynamic_cast<jinja::unary_expression*>(&node);
  if (negation != nullptr && negation->op.value == "not") wrap_condition(negation->argument);
}

// What is looked for in a list: what is undefined as none is.
struct Sought : TemplateWrapper {
  using TemplateWrapper::TemplateWrapper;
  jinja::value execute_impl(jinja::context& context) const override {
    jinja::value value = inner->execute(context);
    if (!jinja::is_val<jinja::value_undefined>(value)) return value;
    return jinja::mk_val<jinja::value_none>();
  }
};

// What `| list` is put to. Of an object it is the keys.
struct Listed : TemplateWrapper {
  using TemplateWrapper::TemplateWrapper;
  jinja::value execute_impl(jinja::context& context) const override {
    jinja::value value = inner->execute(context);
    if (!jinja::is_val<jinja::value_object>(value)) return value;
    auto keys = jinja::mk_val<jinja::value_array>();
    for (const auto& [key, member] : value->as_ordered_object()) keys->push_back(key);
    return keys;
  }
};

void guard_list(jinja::statement& node) {
  auto* filtered = dynamic_cast<jinja::filter_expression*>(&node);
  if (filtered == nullptr) return;
  const auto* name = dynamic_cast<const jinja::identifier*>(filtered->filter.get());
  if (name == nullptr || name->val != "list") return;
  filtered->operand = std::make_unique<Listed>(std::move(filtered->operand));
}

void insert_charge(jinja::statements& body) {
  body.insert(body.begin(), std::make_unique<Charge>());
}

void guard(const jinja::statement& node) {
  auto& mutable_node = const_cast<jinja::statement&>(node);  // the visitor shows them as const
  if (auto* loop = dynamic_cast<jinja::for_statement*>(&mutable_node)) insert_charge(loop->body);
  if (auto* macro = dynamic_cast<jinja::macro_statement*>(&mutable_node)) {
    insert_charge(macro->body);
  }
  guard_conditions(mutable_node);
  guard_owner(mutable_node);
  guard_list(mutable_node);
  auto* operation = dynamic_cast<jinja::binary_expression*>(&mutable_node);
  if (operation == nullptr) return;
  const std::string& sign = operation->op.value;
  if (sign == "in" || sign == "not in") {
    operation->left = std::make_unique<Sought>(std::move(operation->left));
  }
  if (sign == "*" || sign == "+" || sign == "~") {
    operation->left = std::make_unique<FirstFactor>(std::move(operation->left));
    operation->right = std::make_unique<SecondFactor>(std::move(operation->right), sign != "*");
  }
}

}  // namespace

void check_template_size(const jinja::lexer_result& tokens) {
  if (tokens.source.size() > kMaxSourceBytes) {
    throw std::runtime_error("it has " + std::to_string(tokens.source.size()) + " bytes, at most " +
                             std::to_string(kMaxSourceBytes));
  }
  using token = jinja::token;
  int n_blocks = 0;
  int n_elifs = 0;
  int n_brackets = 0;
  int n_tag_tokens = 0;
  bool is_first = false;
  for (const token& part : tokens.tokens) {
    ++n_tag_tokens;
    if (is_first) {
      n_blocks = std::max(n_blocks + block_change(part.value), 0);
      n_elifs = part.value == "elif" ? n_elifs + 1 : n_elifs;
      if (part.value == "endif") n_blocks -= std::exchange(n_elifs, 0);
    }
    is_first = part.t == token::open_statement;
    if (is_first || part.t == token::open_expression) n_tag_tokens = n_brackets = 0;
    n_brackets += bracket_change(part.t);
    if (n_blocks > kMaxNesting || n_brackets > kMaxNesting || n_tag_tokens > kMaxTagTokens) {
      throw std::runtime_error("it is nested more than " + std::to_string(kMaxNesting) +
                               " deep, or has a tag of more than " + std::to_string(kMaxTagTokens) +
                               " words");
    }
  }
}

void guard_template(jinja::program& program) {
  jinja::context visiting;
  visiting.visitor = [&](bool, const jinja::statement* node,
                         std::vector<jinja::visitor_pair> parts) {
    for (const auto& [label, children] : parts) {
      for (const jinja::statement* child : children) {
        if (child != nullptr) child->visit(visiting);
      }
    }
    guard(*node);
  };
  for (const jinja::statement_ptr& statement : program.body) statement->visit(visiting);
  program.body.insert(program.body.begin(), std::make_unique<Prelude>());
}

TemplateBudget::TemplateBudget()
    : stack_base_(reinterpret_cast<const char*>(this)),
      began_s_(thread_cpu_s()),
      began_kib_(peak_kib()) {
  current_budget = this;
}

TemplateBudget::~TemplateBudget() { current_budget = nullptr; }

void TemplateBudget::keep(jinja::value factor) {
  if (current_budget != nullptr) current_budget->factors_.push_back(std::move(factor));
}

jinja::value TemplateBudget::take() {
  if (current_budget == nullptr || current_budget->factors_.empty()) {
    return jinja::mk_val<jinja::value_undefined>();
  }
  jinja::value factor = std::move(current_budget->factors_.back());
  current_budget->factors_.pop_back();
  return factor;
}

void TemplateBudget::charge() {
  beat_thread_pulse();
  TemplateBudget* budget = current_budget;
  if (budget == nullptr) return;
  const char here = 0;
  budget->is_exhausted_ = budget->is_exhausted_ ||
                          std::abs(&here - budget->stack_base_) > kMaxStackBytes ||
                          thread_cpu_s() - budget->began_s_ > kMaxCpuS ||
                          peak_kib() - budget->began_kib_ > kMaxGrowthKib;
  if (budget->is_exhausted_) {
    throw std::runtime_error("it takes too long, too much memory or calls itself too often");
  }
}

}  // namespace pyserve
