#include "grammar/builder.h"

#include <algorithm>

#include "grammar/left_recursion.h"
#include "grammar/utf8_ranges.h"
#include "pyserve/error.h"

namespace pyserve {
namespace {

constexpr size_t kInlineOps = 2;  // code up to this size is copied, not called

GrammarOp op(GrammarOp::Kind kind, int64_t arg = 0) {
  return {kind, 0, 0, static_cast<int32_t>(arg)};
}

void append(GrammarCode& code, const GrammarCode& more) {
  code.insert(code.end(), more.begin(), more.end());
}

void check_size(size_t n_ops) {
  if (n_ops <= kMaxGrammarOps) return;
  refuse_grammar("the grammar is too large");
}

}  // namespace

void refuse_grammar(const std::string& why) {
  throw EngineError(ErrorInfo{ErrorCode::kInvalidRequest, "grammar: " + why, "grammar", {}});
}

int32_t GrammarBuilder::add_rule() {
  if (codes_.size() >= kMaxGrammarRules) {
    refuse_grammar("more than " + std::to_string(kMaxGrammarRules) + " rules and groups");
  }
  codes_.emplace_back();
  is_defined_.push_back(false);
  return static_cast<int32_t>(codes_.size() - 1);
}

int32_t GrammarBuilder::rule(const std::string& name) {
  const auto known = names_.find(name);
  if (known != names_.end()) return known->second;
  return names_[name] = add_rule();
}

void GrammarBuilder::define(int32_t rule, GrammarCode code) {
  n_ops_ += code.size() + 1;
  check_size(n_ops_);
  codes_[rule] = std::move(code);
  is_defined_[rule] = true;
}

int32_t GrammarBuilder::as_rule(GrammarCode code) {
  if (code.size() == 1 && code[0].kind == GrammarOp::Kind::kCall) return code[0].arg;
  const int32_t rule = add_rule();
  define(rule, std::move(code));
  return rule;
}

GrammarCode GrammarBuilder::as_call(GrammarCode code) {
  if (code.size() <= kInlineOps) return code;
  return {op(GrammarOp::Kind::kCall, as_rule(std::move(code)))};
}

GrammarCode GrammarBuilder::character(uint32_t code_point) const {
  GrammarCode code;
  const auto sequences = utf8_ranges(code_point, code_point);
  for (const ByteRange& byte : sequences.front()) {
    code.push_back({GrammarOp::Kind::kByte, byte.low, byte.high, 0});
  }
  return code;
}

GrammarCode GrammarBuilder::char_class(std::vector<CodePointRange> ranges, bool is_negated) {
  ranges = is_negated ? complement(std::move(ranges)) : merged(std::move(ranges));
  if (ranges.empty()) refuse_grammar("a class of characters that holds none");
  const auto known = classes_.find(ranges);
  if (known != classes_.end()) return known->second;
  std::vector<GrammarCode> codes;
  for (const auto& [low, high] : ranges) {
    for (const auto& bytes : utf8_ranges(low, high)) {
      GrammarCode& code = codes.emplace_back();
      for (const ByteRange& byte : bytes) {
        code.push_back({GrammarOp::Kind::kByte, byte.low, byte.high, 0});
      }
    }
  }
  return classes_[ranges] = as_call(alternatives(std::move(codes)));
}

// split a jump | split b jump | c
GrammarCode GrammarBuilder::alternatives(std::vector<GrammarCode> codes) const {
  size_t n_left = codes.back().size();
  for (size_t i = 0; i + 1 < codes.size(); ++i) n_left += codes[i].size() + 2;
  check_size(n_left);
  GrammarCode all;
  all.reserve(n_left);
  for (size_t i = 0; i + 1 < codes.size(); ++i) {
    const auto n = static_cast<int64_t>(codes[i].size());
    all.push_back(op(GrammarOp::Kind::kSplit, n + 2));
    append(all, codes[i]);
    all.push_back(op(GrammarOp::Kind::kJump, static_cast<int64_t>(n_left - all.size())));
  }
  append(all, codes.back());
  return all;
}

GrammarCode GrammarBuilder::repeat(GrammarCode code, int low, int high) {
  if (low > kMaxGrammarRepeat || high > kMaxGrammarRepeat) {
    refuse_grammar("more than " + std::to_string(kMaxGrammarRepeat) + " repetitions");
  }
  if (high >= 0 && high < low) refuse_grammar("a repetition {m,n} with n below m");
  if (high == 0) return {};
  if (low > 1 || high > 1) {
    const int32_t rule = as_rule(std::move(code));
    repeats_.push_back({rule, low, high});
    return {op(GrammarOp::Kind::kRepeat, static_cast<int64_t>(repeats_.size()) - 1)};
  }
  GrammarCode all;
  if (low == 1) append(all, code);
  if (high == 1) {
    if (low == 1) return all;
    all.push_back(op(GrammarOp::Kind::kSplit, static_cast<int64_t>(code.size()) + 1));
    append(all, code);
    return all;
  }
  const auto n = static_cast<int64_t>(code.size());
  all.push_back(op(GrammarOp::Kind::kSplit, n + 2));
  append(all, code);
  all.push_back(op(GrammarOp::Kind::kJump, -(n + 1)));
  return all;
}

Grammar GrammarBuilder::finish() {
  const auto root = names_.find("root");
  if (root == names_.end() || !is_defined_[root->second]) refuse_grammar("there is no rule root");
  for (const auto& [name, rule] : names_) {
    if (!is_defined_[rule]) refuse_grammar("the rule " + name.substr(0, 64) + " is not defined");
  }
  Grammar grammar;
  grammar.root = root->second;
  grammar.repeats = repeats_;
  for (const GrammarCode& code : codes_) {
    grammar.entries.push_back(static_cast<int32_t>(grammar.program.size()));
    append(grammar.program, code);
    grammar.program.push_back(op(GrammarOp::Kind::kReturn));
  }
  const int32_t recursive = find_left_recursion(grammar);
  if (recursive < 0) return grammar;
  std::string name = "a group";
  for (const auto& [known, rule] : names_) {
    if (rule == recursive) name = "the rule " + known.substr(0, 64);
  }
  refuse_grammar(name + " is left-recursive");
}

}  // namespace pyserve
