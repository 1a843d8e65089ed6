#include "grammar/left_recursion.h"

#include <utility>
#include <vector>

namespace pyserve {
namespace {

// Which rules are called before any byte. Code of different rules is disjoint, so every
// instruction is visited once; after a call the walk goes on when the called rule can be empty.
class FirstCalls {
 public:
  explicit FirstCalls(const Grammar& grammar)
      : grammar_(grammar),
        calls_(grammar.entries.size()),
        is_seen_(grammar.program.size()),
        can_be_empty_(grammar.entries.size()),
        waiting_(grammar.entries.size()) {
    for (size_t rule = 0; rule < calls_.size(); ++rule) {
      todo_.emplace_back(static_cast<int32_t>(rule), grammar.entries[rule]);
      while (!todo_.empty()) {
        const auto [caller, pc] = todo_.back();
        todo_.pop_back();
        if (!is_seen_[pc]) visit(caller, pc);
      }
    }
  }

  const std::vector<std::vector<int32_t>>& calls() const { return calls_; }

 private:
  void visit(int32_t rule, int32_t pc) {
    is_seen_[pc] = true;
    const GrammarOp& op = grammar_.program[pc];
    switch (op.kind) {
      case GrammarOp::Kind::kByte:
        return;
      case GrammarOp::Kind::kSplit:
        todo_.emplace_back(rule, pc + 1);
        todo_.emplace_back(rule, pc + op.arg);
        return;
      case GrammarOp::Kind::kJump:
        todo_.emplace_back(rule, pc + op.arg);
        return;
      case GrammarOp::Kind::kCall:
        call(rule, op.arg, pc + 1);
        return;
      case GrammarOp::Kind::kRepeat:
        call(rule, grammar_.repeats[op.arg].rule, pc + 1);
        if (grammar_.repeats[op.arg].low == 0) todo_.emplace_back(rule, pc + 1);
        return;
      case GrammarOp::Kind::kReturn:
        can_be_empty_[rule] = true;
        todo_.insert(todo_.end(), waiting_[rule].begin(), waiting_[rule].end());
        waiting_[rule].clear();
    }
  }

  void call(int32_t caller, int32_t called, int32_t next) {
    calls_[caller].push_back(called);
    if (can_be_empty_[called]) {
      todo_.emplace_back(caller, next);
    } else {
      waiting_[called].emplace_back(caller, next);
    }
  }

  const Grammar& grammar_;
  std::vector<std::vector<int32_t>> calls_;
  std::vector<bool> is_seen_;
  std::vector<bool> can_be_empty_;
  std::vector<std::vector<std::pair<int32_t, int32_t>>> waiting_;  // rule, instruction
  std::vector<std::pair<int32_t, int32_t>> todo_;
};

}  // namespace

// Takes away rules that nothing left calls first; what stays is a cycle, or behind one.
int32_t find_left_recursion(const Grammar& grammar) {
  const FirstCalls first(grammar);
  std::vector<int> n_callers(first.calls().size());
  for (const auto& called : first.calls()) {
    for (const int32_t rule : called) ++n_callers[rule];
  }
  std::vector<int32_t> free;
  for (size_t rule = 0; rule < n_callers.size(); ++rule) {
    if (n_callers[rule] == 0) free.push_back(static_cast<int32_t>(rule));
  }
  while (!free.empty()) {
    const int32_t caller = free.back();
    free.pop_back();
    for (const int32_t rule : first.calls()[caller]) {
      if (--n_callers[rule] == 0) free.push_back(rule);
    }
  }
  for (size_t rule = 0; rule < n_callers.size(); ++rule) {
    if (n_callers[rule] > 0) return static_cast<int32_t>(rule);
  }
  return -1;
}

}  // namespace pyserve
