// DRY ("don't repeat yourself"): penalties for tokens that would continue a repetition.
#pragma once

#include <deque>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "pyserve/request.h"
#include "sample/edits/dry_breakers.h"

namespace pyserve {

// When the last n tokens have been there before, the token that followed them then is lowered by
// multiplier * base^(n - allowed_length), if n >= allowed_length; the largest such n counts.
// A breaker in the last tokens bounds n. Equal to llama.cpp's sampler of that name.
// Thread: one at a time.
class DryPenalty {
 public:
  // Looks at the last `n_window` tokens of prompt and answer; `breakers` may be null.
  DryPenalty(const SamplingParams& params, int n_window,
             std::shared_ptr<const DryBreakers> breakers, TokenSpan prompt);

  // Remembers a token of the answer.
  void accept(Token token);

  // What to subtract from the logits. Valid until the next call.
  const std::unordered_map<Token, float>& penalties();

 private:
  size_t longest_allowed() const;
  void count_repetitions(size_t limit);
  void turn_into_penalties();

  const float multiplier_;
  const float base_;
  const size_t allowed_length_;
  const size_t n_window_;
  const std::shared_ptr<const DryBreakers> breakers_;
  std::deque<Token> newest_first_;
  std::vector<Token> recent_;    // the same, for one computation
  std::vector<size_t> matches_;  // [k]: how many of the newest tokens are also k places further on
  std::unordered_map<Token, size_t> lengths_;  // longest repetition that a token would continue
  std::unordered_map<Token, float> penalties_;
};

}  // namespace pyserve
