#include "sched/draft/plan.h"

#include <algorithm>
#include <utility>

namespace pyserve {

std::vector<int> plan_drafts(const std::vector<std::vector<double>>& chances,
                             const DraftLimits& limits, const std::function<double(int)>& step_ms) {
  std::vector<int> n_tokens(chances.size());
  const auto n_requests = static_cast<int>(chances.size());
  // 1. All tokens in the order of their chance; those of one request stay in theirs.
  std::vector<std::pair<double, int>> ranked;
  for (int i = 0; i < n_requests; ++i) {
    for (const double chance : chances[i]) ranked.emplace_back(chance, i);
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  // 2. The number of them with the best rate.
  const auto n_max = std::min(static_cast<int>(ranked.size()), limits.n_rows_max - n_requests);
  double n_expected = n_requests;
  double best = (1 + limits.min_gain) * n_expected / step_ms(n_requests);
  int n_best = 0;
  for (int n = 1; n <= n_max; ++n) {
    n_expected += ranked[n - 1].first;
    const double ms = step_ms(n_requests + n);
    if (ms > limits.most_ms || n_expected / ms <= best) continue;
    best = n_expected / ms;
    n_best = n;
  }
  for (int n = 0; n < n_best; ++n) ++n_tokens[ranked[n].second];
  return n_tokens;
}

double most_draft_ms(int n_requests, double target_ms, double plain_ms) {
  constexpr double kUnnoticedMs = 100;
  constexpr double kMostOfPlain = 1.5;
  const double gap_ms = n_requests == 1 ? std::max(target_ms, kUnnoticedMs) : target_ms;
  return std::max(gap_ms, kMostOfPlain * plain_ms);
}

}  // namespace pyserve
