#include "sched/step/row_costs.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <random>
#include <vector>

#include "sched/draft/plan.h"

using namespace pyserve;

namespace {

constexpr double kNoLimit = 1e9;

// Milliseconds of a step of so many rows.
using Machine = std::function<double(int)>;

// A model of 7B whose weights are read for up to four rows in the time of one.
double big_ms(int n_rows) { return 95 * std::max({1.0, 0.9 + 0.05 * n_rows, 0.2 * n_rows}); }

double small_ms(int n_rows) { return 2 + 0.4 * n_rows; }

// Experts: each row reads its own.
double sparse_ms(int n_rows) { return 10 + 20.0 * n_rows; }

struct Run {
  double ms = 0;
  double most_ms = 0;
  int n_said = 0;
  std::vector<double> steps;

  double tokens_per_s() const { return 1000.0 * n_said / ms; }
};

// Steps of a single stream whose drafts are right with this chance for each token.
Run decode(RowCosts& costs, const Machine& machine, int n_steps, double chance, double target_ms,
           unsigned seed = 1) {
  std::mt19937 random(seed);
  std::bernoulli_distribution is_right(chance);
  std::vector<double> chances;
  double all = 1;
  for (int i = 0; i < 15; ++i) chances.push_back(all *= chance);
  Run run;
  for (int i = 0; i < n_steps; ++i) {
    DraftLimits limits;
    limits.most_ms = most_draft_ms(1, target_ms, costs.step_ms(1));
    limits.n_rows_max = std::min(16, costs.n_trial_max(limits.most_ms));
    const auto step_ms = [&](int n_rows) { return costs.step_ms(n_rows); };
    const int n_drafted = plan_drafts({chances}, limits, step_ms)[0];
    int n_right = 0;
    while (n_right < n_drafted && is_right(random)) ++n_right;
    const double ms = machine(1 + n_drafted);
    costs.observe(1 + n_drafted, ms);
    run.ms += ms;
    run.n_said += 1 + n_right;
    run.most_ms = std::max(run.most_ms, ms);
    run.steps.push_back(ms);
  }
  return run;
}

}  // namespace

TEST_CASE("nothing is known of rows before the first steps, then what was measured") {
  RowCosts costs(16);
  CHECK(costs.step_ms(1) == 0);
  CHECK(costs.n_trial_max(kNoLimit) == 0);
  costs.observe(1, 10);
  CHECK(costs.n_trial_max(kNoLimit) == 0);  // one step may be a disturbance
  costs.observe(1, 10);
  CHECK(costs.step_ms(1) == doctest::Approx(10));
  CHECK(costs.n_trial_max(kNoLimit) == 2);
  CHECK(costs.step_ms(3) == doctest::Approx(13));
  CHECK(costs.n_trial_max(11) == 1);
}

TEST_CASE("numbers of rows that were not measured lie between those that were") {
  RowCosts costs(16);
  for (int i = 0; i < 3; ++i) {
    for (const int n_rows : {2, 4, 8}) costs.observe(n_rows, 10.0 * n_rows);
  }
  CHECK(costs.step_ms(6) == doctest::Approx(60));
  CHECK(costs.step_ms(5) == doctest::Approx(50));
  CHECK(costs.step_ms(1) < costs.step_ms(2));
  CHECK(costs.n_trial_max(kNoLimit) == 16);
}

TEST_CASE("costs keep their relation on a machine that has become slower") {
  RowCosts costs(16);
  for (int i = 0; i < 40; ++i) costs.observe(i % 4 == 0 ? 8 : 1, i % 4 == 0 ? 20 : 10);
  for (int i = 0; i < 20; ++i) costs.observe(1, 15);
  CHECK(costs.step_ms(1) == doctest::Approx(15).epsilon(0.02));
  CHECK(costs.step_ms(8) == doctest::Approx(30).epsilon(0.02));
}

TEST_CASE("what was not measured for long is tried again") {
  RowCosts costs(16);
  for (int i = 0; i < 2; ++i) costs.observe(1, 10);
  for (int i = 0; i < 2; ++i) costs.observe(2, 100);  // a disturbance
  CHECK(costs.step_ms(2) == doctest::Approx(100));
  for (int i = 0; i < 600; ++i) costs.observe(1, 10);
  CHECK(costs.step_ms(2) < 12);
}

TEST_CASE("numbers of rows out of range are ignored, and steps without time") {
  RowCosts costs(4);
  costs.observe(5, 10);
  costs.observe(0, 10);
  costs.observe(1, 0);
  CHECK(costs.n_trial_max(kNoLimit) == 0);
}

TEST_CASE("a draft makes no step of a large model longer than half as long again") {
  RowCosts costs(16);
  const Run run = decode(costs, big_ms, 400, 0.95, 50);
  CHECK(run.most_ms <= 1.6 * big_ms(1));
  // At most the trials of one number of rows.
  CHECK(std::ranges::count_if(run.steps, [](double ms) { return ms > 1.5 * big_ms(1); }) <= 2);
  // Most of what is won without a limit is won.
  CHECK(run.tokens_per_s() > 0.75 * 1000 * 16 / big_ms(16));
}

TEST_CASE("a draft is as long as it pays where the target leaves room") {
  RowCosts costs(16);
  decode(costs, small_ms, 40, 0.99, 50);
  const Run run = decode(costs, small_ms, 200, 0.99, 50);
  CHECK(run.most_ms == doctest::Approx(small_ms(16)));
}

TEST_CASE("the target of the gap bounds a step with a draft") {
  const auto middling_ms = [](int n_rows) { return 20 + 10.0 * n_rows; };
  for (const double target_ms : {110.0, 150.0}) {
    RowCosts costs(16);
    const Run run = decode(costs, middling_ms, 300, 0.99, target_ms);
    CHECK(run.most_ms <= target_ms);
    CHECK(run.most_ms > target_ms - 20);
  }
}

TEST_CASE("where rows are dear few steps find it out") {
  RowCosts costs(16);
  const Run run = decode(costs, sparse_ms, 1000, 0.5, 50);
  const auto n_long = std::ranges::count_if(run.steps, [](double ms) { return ms > sparse_ms(1); });
  CHECK(n_long <= 10);  // not one of a hundred: no 99th percentile shows it
}

TEST_CASE("a machine that changes its speed all the time changes no choice") {
  RowCosts costs(16);
  int n_step = 0;
  const auto moody_ms = [&](int n_rows) { return big_ms(n_rows) * (++n_step / 50 % 2 + 1); };
  const Run run = decode(costs, moody_ms, 1000, 0.9, 50);
  std::vector<double> steps = run.steps;
  std::ranges::sort(steps);
  CHECK(steps[989] <= 2 * 1.5 * big_ms(1));
  RowCosts steady(16);
  CHECK(run.tokens_per_s() * 1.5 > 0.9 * decode(steady, big_ms, 1000, 0.9, 50).tokens_per_s());
}

TEST_CASE("how long a step with drafts may take") {
  CHECK(most_draft_ms(1, 50, 3) == 100);  // nobody notices
  CHECK(most_draft_ms(4, 50, 3) == 50);   // the target
  CHECK(most_draft_ms(4, 50, 40) == 60);  // the steps themselves are long
  CHECK(most_draft_ms(1, 200, 3) == 200);
}

TEST_CASE("a step that would be too long checks fewer tokens") {
  const auto step_ms = [](int n_rows) { return 10.0 + n_rows; };
  DraftLimits limits;
  limits.n_rows_max = 16;
  const std::vector<std::vector<double>> chances{{0.99, 0.98, 0.97, 0.96}};
  CHECK(plan_drafts(chances, limits, step_ms) == std::vector<int>{4});
  limits.most_ms = 13;
  CHECK(plan_drafts(chances, limits, step_ms) == std::vector<int>{2});
  limits.most_ms = 5;
  CHECK(plan_drafts(chances, limits, step_ms) == std::vector<int>{0});
}
