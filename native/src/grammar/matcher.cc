#include "grammar/matcher.h"

#include <limits>
#include <string_view>

namespace pyserve {

GrammarMatcher::GrammarMatcher(std::shared_ptr<const Grammar> grammar,
                               std::shared_ptr<const TokenBytes> tokens)
    : tokens_(std::move(tokens)), states_(std::move(grammar)), state_(states_.start()) {}

int32_t GrammarMatcher::after(int32_t state, std::string_view text) {
  for (const char byte : text) {
    if (state == GrammarStates::kDead) break;
    state = states_.next(state, static_cast<uint8_t>(byte));
  }
  return state;
}

bool GrammarMatcher::allows(Token token) {
  if (tokens_->is_end(token)) return states_.can_end(state_);
  const std::string_view text = tokens_->text(token);
  states_.refill();
  return !text.empty() && after(state_, text) != GrammarStates::kDead;
}

std::string GrammarMatcher::forced_text(size_t n_max) {
  states_.refill();
  std::string text;
  for (int32_t state = state_; text.size() < n_max;) {
    const std::optional<uint8_t> byte = states_.only_byte(state);
    if (!byte) break;
    text += static_cast<char>(*byte);
    state = states_.next(state, *byte);
  }
  return text;
}

bool GrammarMatcher::is_complete_after(std::string_view text) {
  states_.refill();
  return is_complete(after(state_, text));
}

bool GrammarMatcher::can_end_after(std::string_view text) {
  states_.refill();
  return states_.can_end(after(state_, text));
}

void GrammarMatcher::accept(Token token) {
  if (!tokens_->is_end(token)) accept_text(tokens_->text(token));
}

void GrammarMatcher::accept_text(std::string_view text) {
  states_.refill();
  state_ = after(state_, text);
  if (!states_.is_large()) return;
  state_ = states_.forget_others(state_);
  masks_.clear();
}

void GrammarMatcher::mask(std::span<float> row) {
  const std::vector<bool>& is_allowed = allowed(state_);
  is_stuck_ = true;
  for (size_t i = 0; i < row.size(); ++i) {
    if (is_allowed[i]) {
      is_stuck_ = false;
    } else {
      row[i] = -std::numeric_limits<float>::infinity();
    }
  }
}

std::string GrammarMatcher::why_stuck() const {
  if (states_.is_exhausted()) {
    return "grammar: it has so many readings that following it takes too long";
  }
  return is_stuck_ ? "grammar: no token of this model continues the answer as it demands" : "";
}

const std::vector<bool>& GrammarMatcher::allowed(int32_t state) {
  state = states_.without_far_limits(state, static_cast<int32_t>(tokens_->n_longest()));
  const auto known = masks_.find(state);
  if (known != masks_.end()) return known->second;
  if (masks_.size() >= kMaxMasks) masks_.clear();
  return masks_[state] = find_allowed(state);
}

// Goes through the sorted vocabulary; what leads nowhere is left out with all that begins so.
std::vector<bool> GrammarMatcher::find_allowed(int32_t state) {
  std::vector<bool> is_allowed(tokens_->n_vocab());
  if (states_.can_end(state)) {
    for (const Token token : tokens_->ends()) is_allowed[token] = true;
  }
  states_.refill();
  std::vector<int32_t> path{state};                     // after each byte of the token
  size_t n_alive = std::numeric_limits<size_t>::max();  // bytes of the last token that led on
  for (size_t i = 0; i < tokens_->sorted().size() && !states_.is_exhausted(); ++i) {
    const size_t n_shared = tokens_->shared_bytes()[i];
    if (n_shared > n_alive) continue;
    const Token token = tokens_->sorted()[i];
    const std::string_view text = tokens_->text(token);
    path.resize(n_shared + 1);
    while (path.size() <= text.size() && path.back() != GrammarStates::kDead) {
      path.push_back(states_.next(path.back(), static_cast<uint8_t>(text[path.size() - 1])));
    }
    const bool is_dead = path.back() == GrammarStates::kDead;
    n_alive = is_dead ? path.size() - 2 : std::numeric_limits<size_t>::max();
    is_allowed[token] = !is_dead;
  }
  return is_allowed;
}

}  // namespace pyserve
