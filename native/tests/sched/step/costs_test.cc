#include "sched/step/costs.h"

#include <doctest/doctest.h>

#include <cmath>
#include <random>

using namespace pyserve;

namespace {

struct Truth {
  double base;
  double row;
  double ctx_token;
  double prompt_token;

  double decode_ms(int n_rows, int64_t n_ctx) const {
    return base + row * n_rows + ctx_token * static_cast<double>(n_ctx);
  }
  double step_ms(const StepSample& step) const {
    return (step.n_decode > 0 ? decode_ms(step.n_decode, step.n_ctx_tokens) : base) +
           prompt_token * step.n_prompt;
  }
};

// Requests come and go, contexts grow, prompts arrive.
class Workload {
 public:
  explicit Workload(unsigned seed) : random_(seed) {}

  StepSample next() {
    n_rows_ = std::clamp(n_rows_ + pick(-1, 1), 0, 16);
    ctx_per_row_ = std::clamp(ctx_per_row_ + pick(-40, 45), 50, 3000);
    const int n_prompt = n_rows_ == 0 || pick(0, 3) == 0 ? 16 * pick(1, 24) : 0;
    return {n_rows_, n_prompt, int64_t{n_rows_} * ctx_per_row_, 0};
  }

  double noise() { return std::exp(std::normal_distribution<double>(0, 0.03)(random_)); }
  bool is_spike() { return pick(1, 20) == 1; }

 private:
  int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }

  std::mt19937 random_;
  int n_rows_ = 1;
  int ctx_per_row_ = 200;
};

void feed(StepCosts& costs, Workload& workload, const Truth& truth, int n_steps,
          double spike_factor = 1) {
  for (int i = 0; i < n_steps; ++i) {
    StepSample step = workload.next();
    step.step_ms = truth.step_ms(step) * workload.noise();
    if (workload.is_spike()) step.step_ms *= spike_factor;
    costs.observe(step);
  }
}

void check_near(const StepCosts& costs, const Truth& truth, double tolerance) {
  for (const int n_rows : {1, 2, 4, 8, 12, 16}) {
    for (const int ctx_per_row : {100, 500, 2000}) {
      const int64_t n_ctx = int64_t{n_rows} * ctx_per_row;
      INFO(n_rows, " rows, ", n_ctx, " tokens of context");
      CHECK(costs.decode_ms(n_rows, n_ctx) ==
            doctest::Approx(truth.decode_ms(n_rows, n_ctx)).epsilon(tolerance));
    }
  }
  CHECK(costs.prompt_ms(200) == doctest::Approx(200 * truth.prompt_token).epsilon(tolerance));
}

const Truth kTruths[] = {
    {8, 6, 0.002, 5}, {25, 3, 0.004, 3}, {2, 12, 0.001, 2}, {15, 9, 0.003, 6}, {1, 1, 0.0005, 0.5}};

}  // namespace

TEST_CASE("nothing is known before the first step") {
  const StepCosts costs;
  CHECK(costs.decode_ms(4, 1000) == 0);
  CHECK(costs.prompt_ms(100) == 0);
}

TEST_CASE("one step of each kind is enough for an estimate") {
  StepCosts costs;
  costs.observe({0, 256, 0, 512});
  CHECK(costs.decode_ms(1, 256) == 0);
  CHECK(costs.ms_per_prompt_token() == doctest::Approx(2));
  costs.observe({1, 0, 256, 20});
  CHECK(costs.decode_ms(1, 256) == doctest::Approx(20).epsilon(0.05));
  CHECK(costs.ms_per_prompt_token() == doctest::Approx(2).epsilon(0.1));
}

TEST_CASE("prompts cost more the more they look back at") {
  StepCosts costs;
  for (int round = 0; round < 3; ++round) {
    for (int depth = 0; depth < 4000; depth += 128) {
      const int64_t n_ctx = int64_t{128} * (depth + 64);
      costs.observe({4, 128, 2000, 20 + 128 * 0.5 + 0.0004 * static_cast<double>(n_ctx), n_ctx});
      costs.observe({4, 0, 2000, 20});
    }
  }
  CHECK(costs.ms_per_prompt_token() == doctest::Approx(0.5).epsilon(0.1));
  CHECK(costs.ms_per_prompt_token(4000) == doctest::Approx(0.5 + 0.0004 * 4000).epsilon(0.1));
  CHECK(costs.prompt_ms(10, 2000) == doctest::Approx(10 * (0.5 + 0.0004 * 2000)).epsilon(0.1));
}

TEST_CASE("two steps show that prompts have become slower, one does not") {
  StepCosts costs;
  const Truth truth{8, 1, 0.002, 0.5};
  const auto observe = [&](double factor) {
    StepSample step{8, 64, 4000, 0};
    step.step_ms = truth.decode_ms(8, 4000) + factor * truth.prompt_token * 64;
    costs.observe(step);
  };
  for (int i = 0; i < 40; ++i) {
    costs.observe({8, 0, 4000, truth.decode_ms(8, 4000)});
    observe(1);
  }
  const double usual_ms = costs.prompt_ms(64);
  observe(2);
  CHECK(costs.prompt_ms(64) < 1.2 * usual_ms);
  observe(2);
  CHECK(costs.prompt_ms(64) > 1.5 * usual_ms);
  for (int i = 0; i < 8; ++i) observe(1);
  CHECK(costs.prompt_ms(64) < 1.2 * usual_ms);
}

TEST_CASE("19 of 20 steps with decodes and prompts are in time by the late factor") {
  StepCosts costs;
  CHECK(costs.late_factor() > 1);  // before anything is known
  const Truth truth{8, 6, 0.002, 5};
  std::mt19937 random(9);
  std::exponential_distribution<double> lateness(20);  // 5 % on average, never early
  int n_late = 0;
  constexpr int kSteps = 2000;
  for (int i = 0; i < kSteps; ++i) {
    StepSample step{8, 16 * (1 + i % 8), 4000, 0};
    step.step_ms = truth.step_ms(step) * (1 + lateness(random));
    const double expected_ms = costs.decode_ms(8, 4000) + costs.prompt_ms(step.n_prompt);
    n_late += step.step_ms > expected_ms * costs.late_factor() ? 1 : 0;
    costs.observe(step);
    costs.observe({8, 0, 4000, truth.decode_ms(8, 4000) * (1 + lateness(random))});
  }
  CHECK(n_late < kSteps * 8 / 100);
  CHECK(n_late > kSteps * 2 / 100);  // not by giving time away
  CHECK(costs.late_factor() < 1.2);
}

TEST_CASE("a disturbance does not make chunks tiny") {
  StepCosts costs;
  const Truth truth{8, 6, 0.002, 5};
  for (int i = 0; i < 100; ++i) {
    StepSample step{8, 128, 4000, 0};
    step.step_ms = truth.step_ms(step) * (i % 4 == 0 ? 10 : 1);
    costs.observe(step);
    costs.observe({8, 0, 4000, truth.decode_ms(8, 4000)});
  }
  CHECK(costs.late_factor() == 1.5);
}

TEST_CASE("linear costs are recovered within ten per cent") {
  unsigned seed = 0;
  for (const Truth& truth : kTruths) {
    StepCosts costs;
    Workload workload(++seed);
    feed(costs, workload, truth, 1500);
    check_near(costs, truth, 0.1);
  }
}

TEST_CASE("one step in twenty that takes ten times as long changes nothing") {
  unsigned seed = 10;
  for (const Truth& truth : kTruths) {
    StepCosts costs;
    Workload workload(++seed);
    feed(costs, workload, truth, 1500, 10);
    check_near(costs, truth, 0.1);
  }
}

TEST_CASE("estimates follow a machine that becomes slower within a few steps") {
  StepCosts costs;
  Workload workload(5);
  const Truth fast{8, 6, 0.002, 5};
  feed(costs, workload, fast, 1000);
  const Truth slow{16, 12, 0.004, 10};
  for (int i = 0; i < 12; ++i) {
    costs.observe({8, 0, 4000, slow.decode_ms(8, 4000)});
    costs.observe({8, 128, 4000, slow.step_ms({8, 128, 4000, 0})});
  }
  CHECK(costs.decode_ms(8, 4000) == doctest::Approx(slow.decode_ms(8, 4000)).epsilon(0.1));
  CHECK(costs.prompt_ms(128) == doctest::Approx(1280).epsilon(0.15));
}

TEST_CASE("a long time in one shape does not drive out the others") {
  StepCosts costs;
  Workload workload(6);
  const Truth truth{25, 3, 0.004, 3};
  feed(costs, workload, truth, 800);
  for (int i = 0; i < 1000; ++i) costs.observe({16, 0, 16000 + 16 * (i % 500), 0.0});
  for (int i = 0; i < 1000; ++i) {
    const int64_t n_ctx = 16000 + 16 * (i % 500);
    costs.observe({16, 0, n_ctx, truth.decode_ms(16, n_ctx)});
  }
  check_near(costs, truth, 0.1);
}

TEST_CASE("where costs are not linear, recent steps correct the estimate") {
  StepCosts costs;
  for (int i = 0; i < 200; ++i) {
    for (const int n : {1, 4, 8}) costs.observe({n, 0, n * 100, 10.0 * n});
  }
  for (int i = 0; i < 20; ++i) costs.observe({16, 0, 1600, 300});
  CHECK(costs.decode_ms(16, 1600) == doctest::Approx(300).epsilon(0.05));
}

TEST_CASE("estimates are never negative, whatever is measured") {
  std::mt19937 random(9);
  for (int round = 0; round < 20; ++round) {
    StepCosts costs;
    for (int i = 0; i < 60; ++i) {
      const int n_rows = static_cast<int>(random() % 300);
      const int n_prompt = static_cast<int>(random() % 3 == 0 ? random() % 100000 : 0);
      costs.observe({n_rows, n_prompt, n_rows * static_cast<int64_t>(random() % 5000),
                     random() % 10 == 0 ? 0.0 : 0.001 * (random() % 1000000)});
      CHECK(costs.decode_ms(1 + static_cast<int>(random() % 64), random() % 100000) >= 0);
      CHECK(costs.prompt_ms(100) >= 0);
      CHECK(std::isfinite(costs.decode_ms(4, 100)));
      CHECK(std::isfinite(costs.prompt_ms(100)));
    }
  }
}
