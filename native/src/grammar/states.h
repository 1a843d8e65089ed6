// Where in a grammar a text can be, as the states of an automaton that is built while it is used.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "grammar/grammar.h"

namespace pyserve {

// A state is the set of all places that the bytes so far lead to; a place is an instruction and
// the stack of calls to return to. Stacks are linked lists in one table, equal ones are one.
// Thread: one at a time.
class GrammarStates {
 public:
  static constexpr int32_t kDead = 0;  // no text goes on from here

  explicit GrammarStates(std::shared_ptr<const Grammar> grammar);

  // The state before the first byte.
  int32_t start() const { return start_; }
  // The state after one more byte. Work over the limits leads to kDead and sets is_exhausted().
  int32_t next(int32_t state, uint8_t byte);
  // The text may end here.
  bool can_end(int32_t state) const { return states_[state].can_end; }
  // A byte may follow.
  bool can_go_on(int32_t state) const { return !states_[state].places.empty(); }
  // The byte that must follow; none when the text may end here or several bytes may follow.
  std::optional<uint8_t> only_byte(int32_t state) const;

  // Allows work for one more token.
  void refill() { n_work_left_ = kMaxWork; }
  bool is_exhausted() const { return is_exhausted_; }
  // So many states are known that forgetting all but one is better.
  bool is_large() const { return states_.size() > kManyStates; }
  // Forgets all states but `state`; returns its new number.
  int32_t forget_others(int32_t state);

 private:
  struct Place {
    int32_t pc;
    int32_t stack;
    auto operator<=>(const Place&) const = default;
  };
  struct State {
    std::vector<Place> places;  // at kByte instructions, sorted
    bool can_end = false;
    std::unique_ptr<std::array<int32_t, 256>> next;  // -1: not yet computed
  };
  static constexpr size_t kManyStates = 8 * 1024;
  static constexpr size_t kMaxStates = 32 * 1024;
  static constexpr int64_t kMaxWork = 512 * 1024;  // places visited for one token

  int32_t push(int32_t pc, int32_t stack);
  int32_t copy_stack(const std::vector<Place>& stacks, int32_t stack);
  void visit(Place place, State& state);
  int32_t close();
  int32_t add(State state);

  std::shared_ptr<const Grammar> grammar_;
  std::vector<State> states_;
  std::map<std::pair<std::vector<Place>, bool>, int32_t> numbers_;
  std::vector<Place> stacks_;  // where to return to, and the stack below; -1 = the empty one
  std::unordered_map<uint64_t, int32_t> stack_numbers_;
  int32_t start_ = kDead;
  int64_t n_work_left_ = kMaxWork;
  bool is_exhausted_ = false;
  std::vector<Place> todo_;
  std::unordered_set<uint64_t> seen_;
};

}  // namespace pyserve
