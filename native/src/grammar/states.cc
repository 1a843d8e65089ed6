#include "grammar/states.h"

#include <algorithm>

namespace pyserve {
namespace {

constexpr int32_t kEmptyStack = -1;

uint64_t key(int32_t pc, int32_t stack) {
  return (static_cast<uint64_t>(static_cast<uint32_t>(pc)) << 32) | static_cast<uint32_t>(stack);
}

}  // namespace

GrammarStates::GrammarStates(std::shared_ptr<const Grammar> grammar)
    : grammar_(std::move(grammar)) {
  add({});  // kDead
  todo_.push_back({grammar_->entries[grammar_->root], kEmptyStack});
  start_ = close();
}

int32_t GrammarStates::push(int32_t pc, int32_t stack) {
  // A call at the end of a rule returns to where the rule returns to: right recursion is a loop.
  if (grammar_->program[pc].kind == GrammarOp::Kind::kReturn) return stack;
  const auto [known, is_new] =
      stack_numbers_.try_emplace(key(pc, stack), static_cast<int32_t>(stacks_.size()));
  if (is_new) stacks_.push_back({pc, stack});
  return known->second;
}

void GrammarStates::visit(Place place, State& state) {
  const GrammarOp& op = grammar_->program[place.pc];
  switch (op.kind) {
    case GrammarOp::Kind::kByte:
      state.places.push_back(place);
      return;
    case GrammarOp::Kind::kSplit:
      todo_.push_back({place.pc + 1, place.stack});
      todo_.push_back({place.pc + op.arg, place.stack});
      return;
    case GrammarOp::Kind::kJump:
      todo_.push_back({place.pc + op.arg, place.stack});
      return;
    case GrammarOp::Kind::kCall:
      todo_.push_back({grammar_->entries[op.arg], push(place.pc + 1, place.stack)});
      return;
    case GrammarOp::Kind::kReturn:
      if (place.stack == kEmptyStack) {
        state.can_end = true;
      } else {
        todo_.push_back(stacks_[place.stack]);
      }
  }
}

// The state of all places that todo_ leads to without a byte.
int32_t GrammarStates::close() {
  State state;
  seen_.clear();
  while (!todo_.empty()) {
    const Place place = todo_.back();
    todo_.pop_back();
    if (!seen_.insert(key(place.pc, place.stack)).second) continue;
    if (--n_work_left_ < 0) {
      is_exhausted_ = true;
      todo_.clear();
      return kDead;
    }
    visit(place, state);
  }
  std::sort(state.places.begin(), state.places.end());
  return add(std::move(state));
}

int32_t GrammarStates::add(State state) {
  const auto number = static_cast<int32_t>(states_.size());
  const auto [known, is_new] =
      numbers_.try_emplace(std::make_pair(state.places, state.can_end), number);
  if (!is_new) return known->second;
  if (states_.size() >= kMaxStates) {
    is_exhausted_ = true;
    numbers_.erase(known);
    return kDead;
  }
  states_.push_back(std::move(state));
  return number;
}

std::optional<uint8_t> GrammarStates::only_byte(int32_t state) const {
  const std::vector<Place>& places = states_[state].places;
  if (states_[state].can_end || places.empty()) return std::nullopt;
  const uint8_t byte = grammar_->program[places.front().pc].low;
  for (const Place& place : places) {
    const GrammarOp& op = grammar_->program[place.pc];
    if (op.low != byte || op.high != byte) return std::nullopt;
  }
  return byte;
}

int32_t GrammarStates::next(int32_t state, uint8_t byte) {
  if (state == kDead) return kDead;
  auto& known = states_[state].next;
  if (!known) {
    known = std::make_unique<std::array<int32_t, 256>>();
    known->fill(-1);
  }
  if ((*known)[byte] >= 0) return (*known)[byte];
  n_work_left_ -= static_cast<int64_t>(states_[state].places.size());
  for (const Place& place : states_[state].places) {
    const GrammarOp& op = grammar_->program[place.pc];
    if (op.low <= byte && byte <= op.high) todo_.push_back({place.pc + 1, place.stack});
  }
  const int32_t after = todo_.empty() ? kDead : close();
  if (!is_exhausted_) (*states_[state].next)[byte] = after;
  return after;
}

int32_t GrammarStates::copy_stack(const std::vector<Place>& stacks, int32_t stack) {
  std::vector<int32_t> from_top;
  for (; stack != kEmptyStack; stack = stacks[stack].stack) from_top.push_back(stacks[stack].pc);
  int32_t copy = kEmptyStack;
  for (auto pc = from_top.rbegin(); pc != from_top.rend(); ++pc) copy = push(*pc, copy);
  return copy;
}

int32_t GrammarStates::forget_others(int32_t state) {
  State kept = std::move(states_[state]);
  const std::vector<Place> stacks = std::move(stacks_);
  states_.clear();
  numbers_.clear();
  stacks_.clear();
  stack_numbers_.clear();
  add({});
  kept.next.reset();
  for (Place& place : kept.places) place.stack = copy_stack(stacks, place.stack);
  std::sort(kept.places.begin(), kept.places.end());
  start_ = kDead;
  return add(std::move(kept));
}

}  // namespace pyserve
