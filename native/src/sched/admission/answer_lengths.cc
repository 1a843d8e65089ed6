#include "sched/admission/answer_lengths.h"

#include <algorithm>
#include <vector>

#include "base/check.h"

namespace pyserve {

void AnswerLengths::push(int n_tokens, bool has_ended) {
  lengths_[n_pushed_++ % kSize] = {n_tokens, has_ended};
}

double AnswerLengths::expected_more(int n_said, int n_left) const {
  PYSERVE_CHECK(n_seen() > 0);
  // 1. Those that became longer.
  std::vector<Length> longer;
  for (size_t i = 0; i < n_seen(); ++i) {
    if (lengths_[i].n_tokens > n_said) longer.push_back(lengths_[i]);
  }
  std::ranges::sort(longer, {}, &Length::n_tokens);
  // 2. The mean is the sum of the shares that are still there, token by token.
  const double n_most = static_cast<double>(n_said) + n_left;
  double share = 1, mean = 0, n_seen = n_said;
  for (size_t i = 0; i < longer.size() && n_seen < n_most; ++i) {
    const double n_tokens = std::min<double>(longer[i].n_tokens, n_most);
    mean += share * (n_tokens - n_seen);
    n_seen = n_tokens;
    if (longer[i].has_ended) share *= 1 - 1.0 / static_cast<double>(longer.size() - i);
  }
  return mean + share * tail(n_most - n_seen);
}

double AnswerLengths::tail(double n_left) const {
  double n_tokens = 0, n_ended = 0;
  for (size_t i = 0; i < n_seen(); ++i) {
    n_tokens += lengths_[i].n_tokens;
    n_ended += lengths_[i].has_ended ? 1 : 0;
  }
  return std::min(n_left, n_tokens / std::max(n_ended, 1.0));
}

}  // namespace pyserve
