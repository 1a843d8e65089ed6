#include "llama/prompt/macro_calls.h"

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "llama/prompt/template_node.h"

namespace pyserve {
namespace {

// A parameter that a call leaves out. The macro owns its default.
struct LeftOut : TemplateExpression {
  explicit LeftOut(const jinja::keyword_argument_expression* left_out) : parameter(left_out) {}
  jinja::value execute_impl(jinja::context& context) const override {
    if (parameter == nullptr) return jinja::mk_val<jinja::value_undefined>();
    return parameter->val->execute(context);
  }
  const jinja::keyword_argument_expression* parameter;  // null: it has none
};

std::string name_of(const jinja::statement_ptr& node) {
  const auto* name = dynamic_cast<const jinja::identifier*>(node.get());
  return name == nullptr ? std::string() : name->val;
}

std::string parameter_name(const jinja::statement_ptr& parameter) {
  const auto* named = dynamic_cast<const jinja::keyword_argument_expression*>(parameter.get());
  return name_of(named == nullptr ? parameter : named->key);
}

struct Found {
  std::map<std::string, std::vector<const jinja::macro_statement*>> macros;
  std::vector<jinja::call_expression*> calls;
};

Found find(const jinja::program& program) {
  Found found;
  jinja::context visiting;
  visiting.visitor = [&](bool, const jinja::statement* node,
                         std::vector<jinja::visitor_pair> parts) {
    if (const auto* macro = dynamic_cast<const jinja::macro_statement*>(node)) {
      found.macros[name_of(macro->name)].push_back(macro);
    }
    if (const auto* call = dynamic_cast<const jinja::call_expression*>(node)) {
      // The visitor shows nodes as const.
      found.calls.push_back(const_cast<jinja::call_expression*>(call));
    }
    for (const auto& [label, children] : parts) {
      for (const jinja::statement* child : children) {
        if (child != nullptr) child->visit(visiting);
      }
    }
  };
  for (const jinja::statement_ptr& statement : program.body) statement->visit(visiting);
  return found;
}

bool has_spread(const jinja::statements& arguments) {
  for (const jinja::statement_ptr& argument : arguments) {
    if (dynamic_cast<const jinja::spread_expression*>(argument.get()) != nullptr) return true;
  }
  return false;
}

void settle(jinja::call_expression& call, const jinja::macro_statement& macro) {
  jinja::statements by_place;
  std::map<std::string, jinja::statement_ptr> by_name;
  for (jinja::statement_ptr& argument : call.args) {
    auto* named = dynamic_cast<jinja::keyword_argument_expression*>(argument.get());
    if (named == nullptr) {
      by_place.push_back(std::move(argument));
    } else {
      by_name[name_of(named->key)] = std::move(argument);
    }
  }
  for (size_t i = by_place.size(); i < macro.args.size(); ++i) {
    const jinja::statement_ptr& parameter = macro.args[i];
    const auto given = by_name.find(parameter_name(parameter));
    if (given == by_name.end()) {
      by_place.push_back(std::make_unique<LeftOut>(
          dynamic_cast<const jinja::keyword_argument_expression*>(parameter.get())));
      continue;
    }
    auto* named = dynamic_cast<jinja::keyword_argument_expression*>(given->second.get());
    by_place.push_back(std::move(named->val));
    by_name.erase(given);
  }
  for (auto& [name, argument] : by_name) by_place.push_back(std::move(argument));
  call.args = std::move(by_place);
}

}  // namespace

void settle_macro_calls(jinja::program& program) {
  Found found = find(program);
  for (jinja::call_expression* call : found.calls) {
    const auto macros = found.macros.find(name_of(call->callee));
    if (macros == found.macros.end() || macros->second.size() != 1) continue;
    if (!has_spread(call->args)) settle(*call, *macros->second.front());
  }
}

}  // namespace pyserve
