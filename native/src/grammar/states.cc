#include "grammar/states.h"

#include <algorithm>

namespace pyserve {
namespace {

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

size_t GrammarStates::FrameHash::operator()(const Frame& frame) const {
  constexpr uint64_t kOdd = 0x9E3779B97F4A7C15U;
  const uint64_t mixed = key(frame.pc, frame.below) * kOdd;
  return static_cast<size_t>((mixed ^ (mixed >> 32) ^ static_cast<uint32_t>(frame.n)) * kOdd);
}

int32_t GrammarStates::push(Frame frame) {
  // A call at the end of a rule returns to where the rule returns to: right recursion is a loop.
  if (grammar_->program[frame.pc].kind == GrammarOp::Kind::kReturn) return frame.below;
  const auto [known, is_new] =
      stack_numbers_.try_emplace(frame, static_cast<int32_t>(stacks_.size()));
  if (is_new) stacks_.push_back(frame);
  return known->second;
}

// After `n_done` rounds of the kRepeat at `pc`: the next one, or what follows.
void GrammarStates::repeat(int32_t pc, int32_t n_done, int32_t stack) {
  const GrammarRepeat& repeat = grammar_->repeats[grammar_->program[pc].arg];
  if (n_done >= repeat.low) todo_.push_back({pc + 1, stack});
  if (n_done == repeat.high) return;
  int32_t n = n_done + 1;
  if (repeat.high < 0) n = std::min(n, std::max(repeat.low, 1));  // more need no number
  const Frame frame = n == repeat.high ? Frame{pc + 1, 0, stack} : Frame{pc, n, stack};
  todo_.push_back({grammar_->entries[repeat.rule], push(frame)});
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
      todo_.push_back({grammar_->entries[op.arg], push({place.pc + 1, 0, place.stack})});
      return;
    case GrammarOp::Kind::kRepeat:
      repeat(place.pc, 0, place.stack);
      return;
    case GrammarOp::Kind::kReturn:
      if (place.stack == kEmptyStack) {
        state.can_end = true;
      } else {
        const Frame frame = stacks_[place.stack];
        if (frame.n > 0) {
          repeat(frame.pc, frame.n, frame.below);
        } else {
          todo_.push_back({frame.pc, frame.below});
        }
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

template <typename Renumber>
int32_t GrammarStates::copy_stack(const std::vector<Frame>& stacks, int32_t stack,
                                  Renumber renumber) {
  std::vector<Frame> from_top;
  for (; stack != kEmptyStack; stack = stacks[stack].below) from_top.push_back(stacks[stack]);
  int32_t copy = kEmptyStack;
  for (auto frame = from_top.rbegin(); frame != from_top.rend(); ++frame) {
    copy = push({frame->pc, renumber(*frame), copy});
  }
  return copy;
}

// Every round takes a byte or could be left out, so in `n_bytes` bytes there are no more rounds.
int32_t GrammarStates::far_number(const Frame& frame, int32_t n_bytes) const {
  if (frame.n == 0) return 0;
  const GrammarRepeat& repeat = grammar_->repeats[grammar_->program[frame.pc].arg];
  if (frame.n + n_bytes < repeat.low) return 1;
  const bool is_far = frame.n >= repeat.low && frame.n + n_bytes < repeat.high;
  return is_far ? std::max(repeat.low, 1) : frame.n;
}

int32_t GrammarStates::without_far_limits(int32_t state, int32_t n_bytes) {
  if (grammar_->repeats.empty()) return state;
  State similar;
  similar.can_end = states_[state].can_end;
  const std::vector<Frame> stacks = stacks_;
  for (const Place& place : states_[state].places) {
    const int32_t stack = copy_stack(
        stacks, place.stack, [&](const Frame& frame) { return far_number(frame, n_bytes); });
    similar.places.push_back({place.pc, stack});
  }
  std::sort(similar.places.begin(), similar.places.end());
  const auto end = std::unique(similar.places.begin(), similar.places.end());
  similar.places.erase(end, similar.places.end());
  return add(std::move(similar));
}

int32_t GrammarStates::forget_others(int32_t state) {
  State kept = std::move(states_[state]);
  const std::vector<Frame> stacks = std::move(stacks_);
  states_.clear();
  numbers_.clear();
  stacks_.clear();
  stack_numbers_.clear();
  add({});
  kept.next.reset();
  for (Place& place : kept.places) {
    place.stack = copy_stack(stacks, place.stack, [](const Frame& frame) { return frame.n; });
  }
  std::sort(kept.places.begin(), kept.places.end());
  start_ = kDead;
  return add(std::move(kept));
}

}  // namespace pyserve
