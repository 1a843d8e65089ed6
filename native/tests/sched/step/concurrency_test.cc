#include "sched/step/concurrency.h"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <numeric>
#include <random>

using namespace pyserve;

namespace {

using CostOf = std::function<double(int)>;

std::vector<double> curve(int n_max, const CostOf& cost_of) {
  std::vector<double> costs;
  for (int n = 1; n <= n_max; ++n) costs.push_back(cost_of(n));
  return costs;
}

// Throughput grows with every row, does not change, and falls beyond 8 rows.
double rising(int n) { return 20 + 2 * n; }
double flat(int n) { return 10.0 * n; }
double falling(int n) { return n <= 8 ? 20 + 4 * n : 52 + 14 * (n - 8); }
constexpr double kBestFalling = 8.0 / 52;

ConcurrencyOptions options_for(int n_max) {
  ConcurrencyOptions options;
  options.n_max = n_max;
  return options;
}

// A machine whose speed drifts, with noise and spikes.
class Machine {
 public:
  Machine(CostOf cost_of, unsigned seed) : cost_of_(std::move(cost_of)), random_(seed) {}

  double step_ms(int n_rows) {
    const double drift = 1.25 + 0.25 * std::sin(++n_steps_ / 700.0);
    const double noise = std::exp(std::normal_distribution<double>(0, 0.03)(random_));
    return cost_of_(n_rows) * drift * noise * (random_() % 20 == 0 ? 10 : 1);
  }

 private:
  CostOf cost_of_;
  std::mt19937 random_;
  int n_steps_ = 0;
};

// The tokens per ms of the last half of `n_steps`, without drift and noise.
double run(Concurrency& concurrency, const CostOf& cost_of, int n_ready, int n_steps) {
  Machine machine(cost_of, 7);
  double tokens = 0;
  double ms = 0;
  for (int step = 0; step < n_steps; ++step) {
    const int n = concurrency.plan(n_ready);
    REQUIRE(n >= 1);
    REQUIRE(n <= n_ready);
    concurrency.observe(n, machine.step_ms(n));
    if (step < n_steps / 2) continue;
    tokens += n;
    ms += cost_of(n);
  }
  return tokens / ms;
}

}  // namespace

TEST_CASE("all decode when the costs are unknown, rising with every row, or flat") {
  const ConcurrencyOptions options = options_for(16);
  CHECK(choose_rows(std::vector<double>(16), 16, 0, options) == 16);
  for (int n_ready = 1; n_ready <= 16; ++n_ready) {
    CHECK(choose_rows(curve(16, rising), n_ready, 0, options) == n_ready);
    CHECK(choose_rows(curve(16, flat), n_ready, 0, options) == n_ready);
  }
}

TEST_CASE("the smallest of the best sizes decodes when all are clearly slower") {
  const ConcurrencyOptions options = options_for(32);
  CHECK(choose_rows(curve(32, falling), 32, 0, options) == 8);
  CHECK(choose_rows(curve(32, falling), 8, 0, options) == 8);
  CHECK(choose_rows(curve(32, falling), 5, 0, options) == 5);
  // 7 rows are within 3 % of 8.
  const auto nearly = [](int n) { return n == 7 ? 7 / (0.98 * kBestFalling) : falling(n); };
  CHECK(choose_rows(curve(32, nearly), 32, 0, options) == 7);
}

TEST_CASE("a limit stays while it is among the best") {
  const auto nearly = [](int n) { return n == 10 ? 10 / (0.98 * kBestFalling) : falling(n); };
  CHECK(choose_rows(curve(32, nearly), 32, 0, options_for(32)) == 8);
  CHECK(choose_rows(curve(32, nearly), 32, 10, options_for(32)) == 10);
}

TEST_CASE("a gain below five per cent limits nothing, but keeps a limit above two") {
  const auto slightly = [](int n) { return n == 4 ? 4 / 1.04 : 1.0 * n; };
  CHECK(choose_rows(curve(8, slightly), 8, 0, options_for(8)) == 8);
  CHECK(choose_rows(curve(8, slightly), 8, 4, options_for(8)) == 4);
  const auto hardly = [](int n) { return n == 4 ? 4 / 1.01 : 1.0 * n; };
  CHECK(choose_rows(curve(8, hardly), 8, 4, options_for(8)) == 8);
}

TEST_CASE("a size that is not measured is judged by its nearest neighbour, never by the limit") {
  std::vector<double> costs = curve(16, falling);
  costs[14] = 0;
  CHECK(choose_rows(costs, 15, 0, options_for(16)) == 8);
  for (int n = 9; n <= 16; ++n) costs[n - 1] = 0;
  CHECK(choose_rows(costs, 16, 8, options_for(16)) == 16);
}

TEST_CASE("random curves keep the bounds and never cost throughput") {
  std::mt19937 random(3);
  for (int round = 0; round < 3000; ++round) {
    const int n_max = 1 + static_cast<int>(random() % 40);
    std::vector<double> costs(n_max);
    for (double& cost : costs) cost = random() % 3 == 0 ? 0 : 1 + random() % 100;
    const int n_ready = 1 + static_cast<int>(random() % n_max);
    const int n_limit = static_cast<int>(random() % (n_max + 1));
    const int n = choose_rows(costs, n_ready, n_limit, options_for(n_max));
    CHECK(n >= 1);
    CHECK(n <= n_ready);
    if (n == n_ready || costs[n_ready - 1] == 0) continue;
    CHECK(n / costs[n - 1] > 0.98 * n_ready / costs[n_ready - 1]);
  }
}

TEST_CASE("a noisy, drifting machine is run at its best size") {
  struct Case {
    CostOf cost_of;
    double best;  // tokens per ms
  };
  for (const Case& c :
       {Case{rising, 24 / rising(24)}, Case{flat, 0.1}, Case{falling, kBestFalling}}) {
    Concurrency concurrency(options_for(24));
    CHECK(run(concurrency, c.cost_of, 24, 8000) > 0.94 * c.best);
  }
}

TEST_CASE("the choice follows a machine that changes") {
  Concurrency concurrency(options_for(24));
  run(concurrency, falling, 24, 6000);
  CHECK(concurrency.n_limit() > 0);
  CHECK(run(concurrency, rising, 24, 12000) > 0.94 * 24 / rising(24));
  CHECK(run(concurrency, falling, 24, 12000) > 0.94 * kBestFalling);
}

TEST_CASE("probes are few") {
  Concurrency concurrency(options_for(16));
  int n_others = 0;
  for (int step = 0; step < 10000; ++step) {
    const int n = concurrency.plan(16);
    concurrency.observe(n, rising(n));
    n_others += n == 16 ? 0 : 1;
  }
  CHECK(n_others > 0);
  CHECK(n_others < 250);
}

TEST_CASE("more requests than may run are counted as those that may") {
  Concurrency concurrency(options_for(4));
  CHECK(concurrency.plan(100) == 4);
  Concurrency single(options_for(1));
  for (int step = 0; step < 1000; ++step) {
    CHECK(single.plan(3) == 1);
    single.observe(1, 5);
  }
}

TEST_CASE("a crowd that comes and goes keeps the limit") {
  Concurrency concurrency(options_for(16));
  run(concurrency, falling, 16, 6000);
  const int n_limit = concurrency.n_limit();
  REQUIRE(n_limit > 0);
  for (int step = 0; step < 100; ++step) {
    const int n = concurrency.plan(2);
    CHECK(n <= 2);
    concurrency.observe(n, falling(n));
  }
  CHECK(concurrency.n_limit() == n_limit);
}
