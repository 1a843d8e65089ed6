#include "sched/plan.h"

#include <algorithm>

namespace pyserve {
namespace {

// Frees cells for one token of every request that stays, youngest first.
// Returns the number of requests that stay; `cells` grows by what the others give up.
size_t make_room(const std::vector<RunningView>& running, int& cells, StepPlan& plan) {
  size_t n_stay = running.size();
  int n_decode = 0;
  for (const RunningView& request : running) n_decode += request.is_decode() ? 1 : 0;
  // At least one token must be possible, also when only prompts are running.
  while (n_stay > 1 && cells < std::max(n_decode, 1)) {
    const RunningView& youngest = running[--n_stay];
    cells += youngest.n_computed;
    n_decode -= youngest.is_decode() ? 1 : 0;
    plan.preempt.push_back(static_cast<int>(n_stay));
  }
  return n_stay;
}

}  // namespace

StepPlan plan_step(const std::vector<RunningView>& running, const StepLimits& limits) {
  StepPlan plan;
  int cells = limits.n_cells_free;
  const size_t n_stay = make_room(running, cells, plan);
  int budget = std::min(limits.n_batch, cells);
  // 1. Decodes.
  for (size_t i = 0; i < n_stay && budget > 0; ++i) {
    if (!running[i].is_decode()) continue;
    plan.items.push_back({static_cast<int>(i), 1});
    --budget;
  }
  // 2. Prompts.
  if (!plan.items.empty()) budget = std::min(budget, limits.n_prefill);
  for (size_t i = 0; i < n_stay && budget > 0; ++i) {
    if (running[i].is_decode()) continue;
    const int n_tokens = std::min(running[i].n_missing(), budget);
    plan.items.push_back({static_cast<int>(i), n_tokens});
    budget -= n_tokens;
  }
  return plan;
}

int prefill_budget(double ms_per_token, double target_ms, int n_min, int n_max) {
  if (ms_per_token <= 0) return n_max;
  const double n_fit = target_ms / ms_per_token;
  return static_cast<int>(
      std::clamp(n_fit, static_cast<double>(n_min), static_cast<double>(n_max)));
}

}  // namespace pyserve
