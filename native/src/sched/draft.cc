#include "sched/draft.h"

#include <algorithm>
#include <utility>

namespace pyserve {
namespace {

uint64_t pair_key(Token first, Token second) {
  return (static_cast<uint64_t>(static_cast<uint32_t>(first)) << 32) |
         static_cast<uint32_t>(second);
}

}  // namespace

Draft::Draft(std::vector<Token> tokens) : tokens_(std::move(tokens)) {
  for (size_t i = 1; i < tokens_.size(); ++i) {
    after_pair_[pair_key(tokens_[i - 1], tokens_[i])].push_back(static_cast<int>(i) + 1);
  }
}

TokenSpan Draft::propose(int n_max) const {
  if (n_lost_ > kMaxLost) return {};
  const int n_left = static_cast<int>(tokens_.size()) - next_;
  const int n = std::min({n_max, n_left, n_lost_ > 0 ? std::min(kGuess, n_length_) : n_length_});
  return n <= 0 ? TokenSpan{} : TokenSpan(tokens_).subspan(next_, n);
}

void Draft::accept(Token token) {
  const auto n_tokens = static_cast<int>(tokens_.size());
  if (next_ < n_tokens && tokens_[next_] == token && n_lost_ <= kMaxLost) {
    anchor_ = ++next_;
    n_lost_ = 0;
  } else {
    ++n_lost_;
    find_again(token);
  }
  last_ = token;
}

void Draft::find_again(Token token) {
  // 1. A little further on: some tokens were left out or replaced.
  const int n_tokens = static_cast<int>(tokens_.size());
  const auto begin = tokens_.begin() + std::min(anchor_, n_tokens);
  const auto end = tokens_.begin() + std::min(anchor_ + kWindow, n_tokens);
  const auto near = std::find(begin, end, token);
  if (near != end && n_lost_ <= kMaxLost) {
    next_ = static_cast<int>(near - tokens_.begin()) + 1;
    return;  // still a guess: one token proves little
  }
  // 2. Anywhere, by the last two tokens; the first place that is not behind.
  const auto places = after_pair_.find(pair_key(last_, token));
  if (places != after_pair_.end()) {
    const auto ahead = std::lower_bound(places->second.begin(), places->second.end(), anchor_);
    anchor_ = next_ = ahead == places->second.end() ? places->second.back() : *ahead;
    n_lost_ = 0;
    return;
  }
  // 3. As if the token stood for the one that was expected.
  next_ = std::min(anchor_ + n_lost_, n_tokens);
}

void Draft::learn(int n_proposed, int n_accepted) {
  if (n_accepted == n_proposed) {
    n_length_ = std::min(n_length_ + std::max(n_proposed, 1), kMaxLength);
  } else {
    n_length_ = std::max(n_accepted, 2);
  }
}

}  // namespace pyserve
