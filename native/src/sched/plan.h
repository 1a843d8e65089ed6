// What the next step computes: pure policy over a snapshot.
#pragma once

#include <vector>

namespace pyserve {

// A running request as the planner sees it. It has `n_known` tokens, of which `n_computed` are in
// the KV cache; scheduling is catching up, and prompt or answer makes no difference.
struct RunningView {
  int n_known = 0;
  int n_computed = 0;

  int n_missing() const { return n_known - n_computed; }
  bool is_decode() const { return n_missing() == 1; }
};

struct StepLimits {
  int n_batch = 0;       // most tokens of one step
  int n_prefill = 0;     // most prompt tokens of one step while others decode
  int n_cells_free = 0;  // KV cells that are empty or can be emptied
};

struct PlanItem {
  int index = 0;     // into the snapshot
  int n_tokens = 0;  // computes [n_computed, n_computed + n_tokens)
};

struct StepPlan {
  std::vector<PlanItem> items;  // sum of n_tokens <= min(n_batch, cells free after preemption)
  std::vector<int> preempt;     // give up their cells before the step, and wait
};

// Plans a step for `running`, ordered from the oldest to the youngest request.
// 1. Every decode gets its token; when cells are short the youngest requests are preempted for it.
// 2. What is left of the batch goes to prompts, oldest first, at most `n_prefill` beside decodes.
// The oldest request is never preempted, so a request that fits alone always gets on.
StepPlan plan_step(const std::vector<RunningView>& running, const StepLimits& limits);

// Prompt tokens that fit into `target_ms` at `ms_per_token`, at least `n_min`, at most `n_max`.
// An unknown rate (<= 0) gives `n_max`.
int prefill_budget(double ms_per_token, double target_ms, int n_min, int n_max);

}  // namespace pyserve
