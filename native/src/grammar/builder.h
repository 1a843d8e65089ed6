// The program of a grammar while it is being written.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "grammar/grammar.h"

namespace pyserve {

using GrammarCode = std::vector<GrammarOp>;            // without the kReturn at its end
using CodePointRange = std::pair<uint32_t, uint32_t>;  // both ends included

// Collects rules; code refers to them by number. Every method throws EngineError over a limit.
class GrammarBuilder {
 public:
  // The number of the rule `name`, which may be defined later.
  int32_t rule(const std::string& name);
  bool is_defined(int32_t rule) const { return is_defined_[rule]; }
  void define(int32_t rule, GrammarCode code);

  GrammarCode character(uint32_t code_point) const;
  // One character in the ranges, or outside them. REQUIRES: valid, low <= high.
  GrammarCode char_class(std::vector<CodePointRange> ranges, bool is_negated);
  GrammarCode alternatives(std::vector<GrammarCode> codes) const;
  // `code` at least `low` times, at most `high` times; high < 0: any number of times.
  GrammarCode repeat(GrammarCode code, int low, int high);

  // Throws EngineError for undefined rules, left recursion and a missing root.
  Grammar finish();

 private:
  GrammarCode as_call(GrammarCode code);
  int32_t as_rule(GrammarCode code);
  int32_t add_rule();

  std::map<std::string, int32_t> names_;
  std::map<std::vector<CodePointRange>, GrammarCode> classes_;
  std::vector<GrammarCode> codes_;
  std::vector<bool> is_defined_;
  std::vector<GrammarRepeat> repeats_;
  size_t n_ops_ = 0;
};

[[noreturn]] void refuse_grammar(const std::string& why);

}  // namespace pyserve
