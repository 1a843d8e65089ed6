#include "sched/step/plan.h"

#include <algorithm>
#include <iterator>
#include <numeric>

namespace pyserve {
namespace {

constexpr double kAgeingTokensPerMs = 0.1;
constexpr double kPriorityTokens = 1000;

// Frees cells for one token of every request that decodes: those in the background first, of each
// kind the youngest. `cells` grows by what they give up. Returns who stays, in order.
std::vector<int> make_room(const std::vector<RunningView>& running, int n_decode_max, int& cells,
                           StepPlan& plan) {
  std::vector<int> stay(running.size());
  std::iota(stay.begin(), stay.end(), 0);
  int n_decode = 0;
  for (const RunningView& request : running) n_decode += request.is_decode() ? 1 : 0;
  // At least one token must be possible, also when only prompts are running.
  while (stay.size() > 1 && cells < std::max(std::min(n_decode, n_decode_max), 1)) {
    const auto last =
        std::find_if(stay.rbegin(), stay.rend(), [&](int i) { return running[i].is_background; });
    const auto victim = last == stay.rend() ? std::prev(stay.end()) : std::prev(last.base());
    cells += running[*victim].n_computed;
    n_decode -= running[*victim].is_decode() ? 1 : 0;
    plan.preempt.push_back(*victim);
    stay.erase(victim);
  }
  return stay;
}

// Those that decode: all in the order of the snapshot, or `n_max` in the order of their turns.
std::vector<int> choose_decodes(const std::vector<RunningView>& running,
                                const std::vector<int>& stay, int n_max) {
  std::vector<int> chosen;
  for (const int i : stay) {
    if (running[i].is_decode()) chosen.push_back(i);
  }
  if (chosen.size() <= static_cast<size_t>(std::max(n_max, 0))) return chosen;
  std::stable_sort(chosen.begin(), chosen.end(),
                   [&](int a, int b) { return running[a].last_turn < running[b].last_turn; });
  chosen.resize(std::max(n_max, 0));
  return chosen;
}

std::vector<int> order_prompts(const std::vector<RunningView>& running,
                               const std::vector<int>& stay) {
  std::vector<int> order;
  for (const int i : stay) {
    if (running[i].is_prompt()) order.push_back(i);
  }
  const auto rank = [&](int i) {
    return prompt_rank(running[i].n_missing(), running[i].waited_ms, running[i].priority);
  };
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    if (running[a].was_preempted != running[b].was_preempted) return running[a].was_preempted;
    return rank(a) < rank(b);
  });
  return order;
}

}  // namespace

StepPlan plan_step(const std::vector<RunningView>& running, const StepLimits& limits) {
  StepPlan plan;
  int cells = limits.n_cells_free;
  const std::vector<int> stay = make_room(running, limits.n_decode_max, cells, plan);
  int budget = std::max(std::min(limits.n_batch, cells), 0);
  // 1. Decodes.
  for (const int i : choose_decodes(running, stay, std::min(budget, limits.n_decode_max))) {
    plan.items.push_back({i, 1});
    --budget;
  }
  // 2. Prompts: whole ones while they fit, then one chunk.
  const bool has_decodes = !plan.items.empty();
  budget = std::min(budget, has_decodes ? limits.n_prefill : limits.n_alone);
  int n_prompt = 0;
  const std::vector<int> prompts = order_prompts(running, stay);
  if (std::ranges::all_of(prompts, [&](int i) { return running[i].is_background; })) {
    budget = std::min(budget, limits.n_background);
  }
  for (const int i : prompts) {
    if (n_prompt >= kFullStep) break;
    int n_tokens = running[i].n_missing();
    if (n_tokens > budget) {
      // Rounded down, it leaves less than a tile: there is no second chunk.
      const int n_tiled = budget / kPromptTile * kPromptTile;
      n_tokens = n_tiled == 0 && i == prompts.front() ? budget : n_tiled;
    }
    if (n_tokens <= 0) continue;
    plan.items.push_back({i, n_tokens});
    budget -= n_tokens;
    n_prompt += n_tokens;
  }
  return plan;
}

std::vector<PlanItem> items_after_preemption(const StepPlan& plan) {
  std::vector<PlanItem> items = plan.items;
  for (PlanItem& item : items) {
    const auto is_before = [&](int preempted) { return preempted < item.index; };
    item.index -= static_cast<int>(std::ranges::count_if(plan.preempt, is_before));
  }
  return items;
}

double prompt_rank(int n_missing, double waited_ms, int priority) {
  return n_missing - kAgeingTokensPerMs * waited_ms - kPriorityTokens * priority;
}

double crowd_factor(int n_prompts, int n_decode) {
  if (n_decode <= 0) return kMostCrowd;
  return std::clamp(kMostCrowd * (n_prompts - 1) / n_decode, 1.0, kMostCrowd);
}

int prefill_budget(double ms_per_token, double most_ms, int n_min, int n_max) {
  if (ms_per_token <= 0) return n_min;
  const double n_fit = most_ms / ms_per_token;
  return static_cast<int>(
      std::clamp(n_fit, static_cast<double>(n_min), static_cast<double>(n_max)));
}

}  // namespace pyserve
