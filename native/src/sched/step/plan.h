// Plans the next step: pure policy over a snapshot.
#pragma once

#include <climits>
#include <cstdint>
#include <vector>

namespace pyserve {

// A running request as the planner sees it. It has `n_known` tokens, of which `n_computed` are in
// the KV cache; scheduling is catching up, and prompt or answer makes no difference.
struct RunningView {
  int n_known = 0;
  int n_computed = 0;
  int64_t last_turn = 0;       // number of its last decode, counted over all requests; 0: none
  bool was_preempted = false;  // its "prompt" holds an answer that a client is reading
  int priority = 0;            // higher first
  double waited_ms = 0;        // since it was submitted
  bool is_due = true;          // its adapters are those of the step, and it is not held
  bool is_background = false;  // gives up its cells before all that are not

  int n_missing() const { return n_known - n_computed; }
  // What a step may compute of it.
  bool is_decode() const { return is_due && n_missing() == 1; }
  bool is_prompt() const { return is_due && n_missing() > 1; }
};

struct StepLimits {
  int n_batch = 0;             // most tokens of one step
  int n_prefill = 0;           // most prompt tokens of one step while others decode
  int n_cells_free = 0;        // KV cells that are empty or can be emptied
  int n_decode_max = INT_MAX;  // most decodes of one step; >= 1
  int n_background = INT_MAX;  // most prompt tokens of one step of requests in the background
  int n_alone = INT_MAX;       // most prompt tokens of one step while none decodes
};

struct PlanItem {
  int index = 0;     // into the snapshot
  int n_tokens = 0;  // computes [n_computed, n_computed + n_tokens)
};

struct StepPlan {
  std::vector<PlanItem> items;  // sum of n_tokens <= min(n_batch, cells free after preemption)
  std::vector<int> preempt;     // give up their cells before the step, and wait
};

// Prompts are cut at multiples of this many tokens: kernels work in tiles.
inline constexpr int kPromptTile = 16;

// Steps of so many prompt tokens are about as fast for each as larger ones.
inline constexpr int kFullStep = 128;

// Plans a step for `running`, ordered from the oldest to the youngest request.
// Of those that are due:
// 1. Decodes get their token; when cells are short the youngest requests are preempted for it,
// those
//    in the background first.
//    If there are more than `n_decode_max`, the lowest `last_turn` go first, and come first:
//    numbered in the order of the plan they take turns, exactly.
// 2. What is left of the batch goes to prompts in the order of prompt_rank(), at most `n_prefill`
//    tokens beside decodes, and `n_alone` without. A step that has kFullStep of them begins no
//    other prompt: one after the other they are through sooner than all at once, and the last one
//    at the same time. At most one prompt is cut, at a multiple of kPromptTile; only the first
//    prompt may be cut shorter than that, so that something is always computed.
// The oldest request is never preempted, so a request that fits alone always gets on.
StepPlan plan_step(const std::vector<RunningView>& running, const StepLimits& limits);

// The items of a plan by the indices that they have when those that it preempts are gone.
std::vector<PlanItem> items_after_preemption(const StepPlan& plan);

// The order of prompts: lower goes first. Remaining tokens, less 100 for every second waited and
// 1000 for every level of priority. Two that wait keep their order, and only requests that come
// soon after a long prompt can overtake it, so none starves.
double prompt_rank(int n_missing, double waited_ms, int priority = 0);

// How many times longer the gaps of decodes may get while others wait for a first token: 1 while
// those that queue behind the first prompt are less than a quarter of those that decode, up to
// kMostCrowd where they are as many. All prompts have to be computed before the last one is
// through: in larger chunks that is sooner, and more answers then share each step.
double crowd_factor(int n_prompts, int n_decode);

inline constexpr double kMostCrowd = 4;

// Prompt tokens that take `most_ms` at `ms_per_token`: at least `n_min`, at most `n_max`. Of an
// unknown rate (<= 0) the worst is supposed: the first chunk that is ever computed is as small as
// any.
int prefill_budget(double ms_per_token, double most_ms, int n_min, int n_max);

}  // namespace pyserve
