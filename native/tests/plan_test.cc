#include "sched/plan.h"

#include <doctest/doctest.h>

#include <numeric>
#include <random>

using namespace pyserve;

namespace {

std::vector<std::pair<int, int>> items(const StepPlan& plan) {
  std::vector<std::pair<int, int>> out;
  for (const PlanItem& item : plan.items) out.emplace_back(item.index, item.n_tokens);
  return out;
}

using Items = std::vector<std::pair<int, int>>;
constexpr RunningView kDecode{11, 10};

}  // namespace

TEST_CASE("decodes go first, prompts fill the rest oldest first") {
  const StepPlan plan = plan_step({{50, 0}, kDecode, {30, 10}}, {64, 64, 1000});
  CHECK(items(plan) == Items{{1, 1}, {0, 50}, {2, 13}});
  CHECK(plan.preempt.empty());
}

TEST_CASE("prompts get at most n_prefill beside decodes, and the whole batch without") {
  CHECK(items(plan_step({kDecode, {100, 0}}, {64, 16, 1000})) == Items{{0, 1}, {1, 16}});
  CHECK(items(plan_step({{100, 0}}, {64, 16, 1000})) == Items{{0, 64}});
}

TEST_CASE("nothing to run plans nothing") { CHECK(plan_step({}, {64, 64, 1000}).items.empty()); }

TEST_CASE("the youngest request gives up its cells when decodes find none") {
  const StepPlan plan = plan_step({kDecode, kDecode, {40, 30}}, {64, 64, 1});
  CHECK(plan.preempt == std::vector<int>{2});
  CHECK(items(plan) == Items{{0, 1}, {1, 1}});
}

TEST_CASE("several are preempted youngest first until the others fit") {
  const StepPlan plan = plan_step({{101, 100}, {2, 1}, {2, 1}}, {64, 64, 0});
  CHECK(plan.preempt == std::vector<int>{2, 1});
  CHECK(items(plan) == Items{{0, 1}});
}

TEST_CASE("the oldest request is never preempted") {
  const StepPlan plan = plan_step({kDecode}, {64, 64, 0});
  CHECK(plan.preempt.empty());
  CHECK(plan.items.empty());
}

TEST_CASE("random plans keep the batch, the cells and the requests") {
  std::mt19937 random(1);
  const auto pick = [&](int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  };
  for (int round = 0; round < 5000; ++round) {
    std::vector<RunningView> running(pick(0, 8));
    for (RunningView& request : running) {
      request.n_computed = pick(0, 50);
      request.n_known = request.n_computed + (pick(0, 1) == 0 ? 1 : pick(1, 80));
    }
    const StepLimits limits{pick(8, 64), pick(1, 64), pick(0, 40)};
    const StepPlan plan = plan_step(running, limits);
    int cells = limits.n_cells_free;
    for (const int index : plan.preempt) cells += running[index].n_computed;
    int total = 0;
    std::vector<int> seen(running.size());
    for (const PlanItem& item : plan.items) {
      CHECK(item.n_tokens >= 1);
      CHECK(item.n_tokens <= running[item.index].n_missing());
      total += item.n_tokens;
      ++seen[item.index];
    }
    for (const int index : plan.preempt) ++seen[index];
    CHECK(total <= std::min(limits.n_batch, cells));
    for (const int n : seen) CHECK(n <= 1);
    // Something happens whenever something can.
    if (!running.empty() && cells > 0) CHECK(total > 0);
  }
}

TEST_CASE("the prompt budget follows the measured speed") {
  CHECK(prefill_budget(0, 100, 16, 512) == 512);
  CHECK(prefill_budget(1, 100, 16, 512) == 100);
  CHECK(prefill_budget(50, 100, 16, 512) == 16);
  CHECK(prefill_budget(0.01, 100, 16, 512) == 512);
}
