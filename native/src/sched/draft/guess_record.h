// How often guessed tokens were right.
#pragma once

#include <algorithm>
#include <vector>

#include "pyserve/types.h"

namespace pyserve {

// Thread: one at a time.
class GuessRecord {
 public:
  double chance() const { return n_right_ / n_seen_; }

  // What followed the first `n_known` of `tokens` had been guessed to be `guess`.
  void learn(TokenSpan tokens, size_t n_known, TokenSpan guess) {
    if (tokens.size() <= n_known) return;
    const TokenSpan said = tokens.subspan(n_known);
    const auto part = std::mismatch(said.begin(), said.end(), guess.begin(), guess.end());
    const auto n_right = static_cast<double>(part.first - said.begin());
    const bool was_wrong = part.first != said.end() && part.second != guess.end();
    n_right_ += n_right;
    n_seen_ += n_right + (was_wrong ? 1 : 0);
    if (n_seen_ <= kMaxSeen) return;
    n_right_ /= 2;
    n_seen_ /= 2;
  }

 private:
  static constexpr double kMaxSeen = 64;

  double n_right_ = 2.8;  // as if a few guesses had been seen
  double n_seen_ = 4;
};

}  // namespace pyserve
