#include "sched/step/plan.h"

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

TEST_CASE("decodes go first, prompts fill the rest shortest first") {
  const StepPlan plan = plan_step({{50, 0}, kDecode, {30, 10}}, {64, 64, 1000});
  CHECK(items(plan) == Items{{1, 1}, {2, 20}, {0, 32}});
  CHECK(plan.preempt.empty());
}

TEST_CASE("what is not due is left out, but gives up its cells when it is the youngest") {
  RunningView other = kDecode;
  other.is_due = false;
  RunningView other_prompt{40, 0};
  other_prompt.is_due = false;
  CHECK(items(plan_step({other, kDecode, other_prompt, {30, 10}}, {64, 64, 1000})) ==
        Items{{1, 1}, {3, 20}});
  const StepPlan plan = plan_step({kDecode, other}, {64, 64, 0});
  CHECK(items(plan) == Items{{0, 1}});
  CHECK(plan.preempt == std::vector<int>{1});
}

TEST_CASE("cells are taken from the background first, of several from the youngest") {
  RunningView background = kDecode;
  background.is_background = true;
  background.is_due = false;
  const StepPlan plan = plan_step({background, kDecode, background, kDecode}, {64, 64, 1});
  CHECK(plan.preempt == std::vector<int>{2});
  CHECK(items(plan) == Items{{1, 1}, {3, 1}});
  StepPlan left = plan;
  left.items = items_after_preemption(plan);
  CHECK(items(left) == Items{{1, 1}, {2, 1}});
}

TEST_CASE("a step of the background is short, unless others have prompts in it") {
  RunningView background{400, 0};
  background.is_background = true;
  StepLimits limits{512, 64, 1000};
  limits.n_background = 128;
  CHECK(items(plan_step({background}, limits)) == Items{{0, 128}});
  CHECK(items(plan_step({{200, 0}}, limits)) == Items{{0, 200}});
}

TEST_CASE("a prompt that has waited long goes before a short one") {
  RunningView old_one{400, 0};
  old_one.waited_ms = 4000;
  CHECK(items(plan_step({{50, 0}, old_one}, {512, 64, 1000})) == Items{{1, 400}});
  old_one.waited_ms = 3000;
  CHECK(items(plan_step({{50, 0}, old_one}, {512, 64, 1000})) == Items{{0, 50}, {1, 400}});
}

TEST_CASE("a preempted answer goes before prompts, an important prompt before a short one") {
  RunningView resumed{100, 0};
  resumed.was_preempted = true;
  RunningView important{20, 0};
  important.priority = 1;
  CHECK(items(plan_step({{10, 0}, important, resumed}, {800, 64, 1000})) ==
        Items{{2, 100}, {1, 20}, {0, 10}});
}

TEST_CASE("prompts are cut at multiples of 16, and what is left starts no other") {
  CHECK(items(plan_step({{500, 0}, {600, 0}}, {100, 100, 1000})) == Items{{0, 96}});
  // A whole prompt still fits.
  CHECK(items(plan_step({{500, 0}, kDecode, {3, 0}}, {100, 20, 1000})) ==
        Items{{1, 1}, {2, 3}, {0, 16}});
  CHECK(items(plan_step({{500, 0}, kDecode, {8, 0}}, {100, 20, 1000})) == Items{{1, 1}, {2, 8}});
}

TEST_CASE("less than a tile is computed rather than nothing") {
  CHECK(items(plan_step({{500, 0}, {600, 0}}, {64, 64, 9})) == Items{{0, 9}});
}

TEST_CASE("decodes take turns when not all may") {
  std::vector<RunningView> running(4, kDecode);
  for (int i = 0; i < 4; ++i) running[i].last_turn = (i + 2) % 4;
  CHECK(items(plan_step(running, {64, 64, 1000, 2})) == Items{{2, 1}, {3, 1}});
  CHECK(items(plan_step(running, {64, 64, 1000, 9})) == Items{{0, 1}, {1, 1}, {2, 1}, {3, 1}});
}

TEST_CASE("everyone gets the same number of turns when not all may decode") {
  std::vector<RunningView> running(7, kDecode);
  std::vector<int> turns(7);
  int64_t n_turns = 0;
  for (int step = 0; step < 70; ++step) {
    const StepPlan plan = plan_step(running, {64, 64, 1000, 3});
    for (const PlanItem& item : plan.items) {
      running[item.index].last_turn = ++n_turns;
      ++turns[item.index];
    }
  }
  for (const int n : turns) CHECK(n == 30);
}

TEST_CASE("a long prompt is finished in spite of short ones that never end") {
  RunningView longest{3000, 0};
  RunningView shorter{100, 0};
  int step = 0;
  for (; longest.n_missing() > 0 && step < 2000; ++step) {
    // Every step lasts 100 ms, computes a whole short prompt or 100 tokens, and brings a new one.
    longest.waited_ms += 100;
    for (const PlanItem& item : plan_step({longest, shorter}, {101, 101, 9999}).items) {
      if (item.index == 0) longest.n_computed += item.n_tokens;
    }
  }
  CHECK(step < 350);
}

TEST_CASE("prompts get at most n_prefill beside decodes, and the whole batch without") {
  CHECK(items(plan_step({kDecode, {100, 0}}, {64, 16, 1000})) == Items{{0, 1}, {1, 16}});
  CHECK(items(plan_step({{100, 0}}, {64, 16, 1000})) == Items{{0, 64}});
}

TEST_CASE("a full step begins no other prompt, so that prompts end one after the other") {
  CHECK(items(plan_step({{220, 0}, {200, 0}}, {512, 64, 1000})) == Items{{1, 200}});
  CHECK(items(plan_step({{220, 0}, {400, 210}}, {512, 64, 1000})) == Items{{1, 190}});
  // Short ones share a step until it is full.
  CHECK(items(plan_step({{70, 0}, {60, 0}, {50, 0}}, {512, 64, 1000})) ==
        Items{{2, 50}, {1, 60}, {0, 70}});
  CHECK(items(plan_step({{70, 0}, {60, 0}, {50, 0}, {20, 0}}, {512, 64, 1000})) ==
        Items{{3, 20}, {2, 50}, {1, 60}});
  CHECK(items(plan_step({{220, 0}, {200, 0}, kDecode}, {512, 300, 1000})) ==
        Items{{2, 1}, {1, 200}});
}

TEST_CASE("a prompt that nobody waits for is cut where the next one may come in") {
  StepLimits limits{512, 64, 1000};
  limits.n_alone = 128;
  CHECK(items(plan_step({{900, 0}}, limits)) == Items{{0, 128}});
  CHECK(items(plan_step({{900, 0}, kDecode}, limits)) == Items{{1, 1}, {0, 64}});
}

TEST_CASE("prompts that come together are through as early as can be") {
  // Eight prompts of 220 tokens, a step costs as many units as it has tokens.
  std::vector<RunningView> running(8, RunningView{220, 0});
  int time = 0;
  int sum = 0;
  for (int n_left = 8; n_left > 0;) {
    for (const PlanItem& item : plan_step(running, {512, 512, 100000}).items) {
      RunningView& request = running[item.index];
      request.n_computed += item.n_tokens;
      time += item.n_tokens;
    }
    for (RunningView& request : running) {
      if (request.n_known == 0 || request.n_missing() > 0) continue;
      sum += time;
      --n_left;
      request = RunningView{0, 0};  // it has left
    }
  }
  CHECK(time == 8 * 220);
  CHECK(sum == 220 * (1 + 2 + 3 + 4 + 5 + 6 + 7 + 8));
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
    for (RunningView& request : running) {
      request.last_turn = pick(0, 9);
      request.was_preempted = pick(0, 4) == 0;
      request.waited_ms = pick(0, 2000);
      request.priority = pick(-1, 1);
    }
    const StepLimits limits{pick(8, 64), pick(1, 64), pick(0, 40), pick(1, 10)};
    const StepPlan plan = plan_step(running, limits);
    int cells = limits.n_cells_free;
    for (const int index : plan.preempt) cells += running[index].n_computed;
    int total = 0;
    int n_decode = 0;
    int n_prompt = 0;
    int n_cut = 0;
    std::vector<int> seen(running.size());
    for (const PlanItem& item : plan.items) {
      const bool is_decode = running[item.index].is_decode();
      n_decode += is_decode ? 1 : 0;
      n_prompt += is_decode ? 0 : item.n_tokens;
      n_cut += item.n_tokens < running[item.index].n_missing() ? 1 : 0;
      CHECK(item.n_tokens >= 1);
      CHECK(item.n_tokens <= running[item.index].n_missing());
      total += item.n_tokens;
      ++seen[item.index];
    }
    for (const int index : plan.preempt) ++seen[index];
    CHECK(total <= std::min(limits.n_batch, cells));
    CHECK(n_decode <= limits.n_decode_max);
    CHECK(n_cut <= 1);
    if (n_decode > 0) CHECK(n_prompt <= limits.n_prefill);
    for (const int n : seen) CHECK(n <= 1);
    // Something happens whenever something can.
    if (!running.empty() && cells > 0) CHECK(total > 0);
  }
}

TEST_CASE("the prompt budget follows the measured speed") {
  CHECK(prefill_budget(1, 100, 16, 512) == 100);
  CHECK(prefill_budget(50, 100, 16, 512) == 16);
  CHECK(prefill_budget(0.01, 100, 16, 512) == 512);
}

TEST_CASE("gaps may get longer where many queue for their first token") {
  CHECK(crowd_factor(1, 1) == 1);
  CHECK(crowd_factor(1, 8) == 1);
  CHECK(crowd_factor(3, 8) == 1);
  CHECK(crowd_factor(4, 8) == 1.5);
  CHECK(crowd_factor(9, 8) == kMostCrowd);
  CHECK(crowd_factor(15, 1) == kMostCrowd);
}

TEST_CASE("the first prompt piece, of which nothing is known, is as small as any") {
  CHECK(prefill_budget(0, 100, 16, 512) == 16);
}
