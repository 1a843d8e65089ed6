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
// the stack of calls to return to. Stacks are linked lists in one table, equal ones are one. A call
// that is repeated has its number in the stack, so a long repetition is no long program.
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

  // A state with the same texts of at most `n_bytes` bytes as `state`, and the same for all states
  // that differ from it in numbers of repetitions that are that far from their limits.
  int32_t without_far_limits(int32_t state, int32_t n_bytes);

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
  // Where to return to; with `n` > 0 the instruction is a kRepeat whose n-th round this is.
  struct Frame {
    int32_t pc;
    int32_t n;
    int32_t below;  // kEmptyStack: nothing
    bool operator==(const Frame&) const = default;
  };
  struct FrameHash {
    size_t operator()(const Frame& frame) const;
  };
  struct State {
    std::vector<Place> places;  // at kByte instructions, sorted
    bool can_end = false;
    std::unique_ptr<std::array<int32_t, 256>> next;  // -1: not yet computed
  };
  static constexpr size_t kManyStates = 8 * 1024;
  static constexpr size_t kMaxStates = 32 * 1024;
  static constexpr int64_t kMaxWork = 512 * 1024;  // places visited for one token

  static constexpr int32_t kEmptyStack = -1;

  int32_t push(Frame frame);
  // `stack` of the table `stacks` in this one, its numbers as `renumber(frame)` says.
  template <typename Renumber>
  int32_t copy_stack(const std::vector<Frame>& stacks, int32_t stack, Renumber renumber);
  void repeat(int32_t pc, int32_t n_done, int32_t stack);
  int32_t far_number(const Frame& frame, int32_t n_bytes) const;
  void visit(Place place, State& state);
  int32_t close();
  int32_t add(State state);

  std::shared_ptr<const Grammar> grammar_;
  std::vector<State> states_;
  std::map<std::pair<std::vector<Place>, bool>, int32_t> numbers_;
  std::vector<Frame> stacks_;
  std::unordered_map<Frame, int32_t, FrameHash> stack_numbers_;
  int32_t start_ = kDead;
  int64_t n_work_left_ = kMaxWork;
  bool is_exhausted_ = false;
  std::vector<Place> todo_;
  std::unordered_set<uint64_t> seen_;
};

}  // namespace pyserve
