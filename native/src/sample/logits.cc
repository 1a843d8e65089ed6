#include "sample/logits.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace pyserve {
namespace {

constexpr float kFloor = -9999.0F;  // stands for "never" in JSON, which has no infinity

}  // namespace

float finite_logprob(double logprob) {
  return logprob > kFloor ? static_cast<float>(logprob) : kFloor;
}

Token argmax(LogitsRow logits) {
  Token best = -1;
  float best_logit = -std::numeric_limits<float>::infinity();
  bool has_nan = false;
  for (size_t i = 0; i < logits.size(); ++i) {
    has_nan |= std::isnan(logits[i]);
    if (logits[i] > best_logit) {
      best_logit = logits[i];
      best = static_cast<Token>(i);
    }
  }
  return has_nan || std::isinf(best_logit) ? -1 : best;
}

RowLogprobs row_logprobs(LogitsRow logits, Token sampled, int k) {
  const double max = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - max);
  const double log_sum = max + std::log(sum);

  RowLogprobs out;
  out.sampled = finite_logprob(logits[sampled] - log_sum);
  const size_t n_top = std::min(static_cast<size_t>(std::max(k, 0)), logits.size());
  const auto better = [&](Token a, Token b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  };
  // A heap of the best so far; its front is the worst of them.
  std::vector<Token> best;
  for (Token token = 0; token < static_cast<Token>(logits.size()) && n_top > 0; ++token) {
    if (best.size() < n_top) {
      best.push_back(token);
      std::push_heap(best.begin(), best.end(), better);
    } else if (better(token, best.front())) {
      std::pop_heap(best.begin(), best.end(), better);
      best.back() = token;
      std::push_heap(best.begin(), best.end(), better);
    }
  }
  std::sort_heap(best.begin(), best.end(), better);
  for (const Token token : best)
    out.top.push_back({token, finite_logprob(logits[token] - log_sum)});
  return out;
}

}  // namespace pyserve
