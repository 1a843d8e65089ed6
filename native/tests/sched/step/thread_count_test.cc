#include "sched/step/thread_count.h"

#include <doctest/doctest.h>

#include <cstdint>

namespace pyserve {
namespace {

// A machine with `n_cores` cores, `n_taken` of which a neighbour uses. A step waits for its slowest
// thread: threads that share a core take `slowdown` times as long.
struct Machine {
  int n_cores = 4;
  int n_taken = 0;
  double core_ms = 100;  // of a step
  double slowdown = 2;
  bool is_nervous = false;  // threads are always preempted, for less than any of them would cost

  double step_ms(int n_threads) const {
    return (n_threads > n_cores - n_taken ? slowdown : 1) * core_ms / n_threads;
  }
  double preemptions_per_ms(int n_threads) const {
    return is_nervous || n_threads > n_cores - n_taken ? 0.1 : 0;
  }
};

class Run {
 public:
  int threads = 0;
  double extra_ms = 0;  // that steps took longer than with all threads
  int n_fewer = 0;      // steps with fewer threads

  void steps(const Machine& machine, int n, int n_rows = 4) {
    for (int i = 0; i < n; ++i) {
      threads = policy.plan(machine.n_cores, n_rows);
      step(machine.step_ms(threads), machine.preemptions_per_ms(threads));
      extra_ms += machine.step_ms(threads) - machine.step_ms(machine.n_cores);
      n_fewer += threads < machine.n_cores ? 1 : 0;
    }
  }

  // The planned one.
  void step(double ms, double preemptions_per_ms) {
    now_ms_ += ms;
    n_preempted_ += ms * preemptions_per_ms;
    policy.observe(ms, now_ms_, static_cast<long>(n_preempted_));
  }

  double now_ms() const { return now_ms_; }

  ThreadCount policy;

 private:
  double now_ms_ = 0;
  double n_preempted_ = 0;
};

TEST_CASE("a quiet machine is used whole and never tried otherwise") {
  Run run;
  for (int i = 0; i < 500; ++i) {
    run.steps(Machine{}, 1);
    CHECK(run.threads == 4);
  }
}

TEST_CASE("threads leave the core that a neighbour takes, and come back") {
  Run run;
  run.steps(Machine{}, 50);
  run.steps(Machine{4, 1}, 200);
  CHECK(run.policy.n_limit() == 3);
  run.steps(Machine{4, 2}, 400);
  CHECK(run.policy.n_limit() == 2);
  run.steps(Machine{}, 4000);
  CHECK(run.policy.n_limit() == 0);
  CHECK(run.threads == 4);
}

TEST_CASE("what would be slower is not kept") {
  // The neighbour takes a little of every core: all threads are preempted, fewer do not help.
  Run run;
  run.steps({.core_ms = 120, .is_nervous = true}, 2000);
  CHECK(run.policy.n_limit() == 0);
  CHECK(run.n_fewer > 0);
  CHECK(run.n_fewer < 20);
}

TEST_CASE("trials take less than a hundredth of a quiet stream") {
  // On two cores a trial is a step of twice the time.
  for (const double step_ms : {130.0, 2.0}) {
    INFO(step_ms);
    const Machine machine{.n_cores = 2, .core_ms = 2 * step_ms, .is_nervous = true};
    Run run;
    run.steps(machine, 200, 1);
    CHECK(run.extra_ms < 0.01 * run.now_ms());
    // Streams that follow are no worse off: what was saved is spent on one trial at most.
    for (int i = 0; i < 100; ++i) {
      const double before_ms = run.extra_ms;
      run.steps(machine, 200, 1);
      CHECK(run.extra_ms - before_ms <= 2.01 * step_ms);
    }
    CHECK(run.policy.n_limit() == 0);
    CHECK(run.n_fewer > 0);
    // They become rarer.
    CHECK(run.extra_ms < 0.001 * run.now_ms());
  }
}

TEST_CASE("trials take about a hundredth of the time while nothing can be learnt from them") {
  // Steps are disturbed at random, so that much looks like a neighbour that is not there.
  Run run;
  uint32_t random = 1;
  double extra_ms = 0;
  for (int i = 0; i < 20000; ++i) {
    const int threads = run.policy.plan(2, 1);
    random = random * 1664525 + 1013904223;
    const double noise = 1 + (random >> 24) / 256.0 + ((random >> 16) % 16 == 0 ? 2 : 0);
    extra_ms += threads == 1 ? 10 * noise : 0;
    run.step((threads == 1 ? 20 : 10) * noise, 0.1);
  }
  CHECK(run.policy.n_limit() == 0);
  CHECK(extra_ms < 0.011 * run.now_ms());
}

TEST_CASE("a neighbour that comes is noticed within a few steps") {
  for (const double core_ms : {400.0, 8.0}) {
    const Machine quiet{.core_ms = core_ms};
    const Machine busy{.n_taken = 1, .core_ms = core_ms};
    Run run;
    run.steps(quiet, 100);
    // Preemptions are counted for a second, a trial has 16 steps.
    run.steps(busy, 20 + static_cast<int>(1500 / busy.step_ms(4)));
    CHECK(run.policy.n_limit() == 3);
  }
  // On two cores, where barriers make it worse than half.
  Run run;
  run.steps({.n_cores = 2, .core_ms = 260}, 100, 1);
  run.steps({.n_cores = 2, .n_taken = 1, .core_ms = 260, .slowdown = 2.6}, 25, 1);
  CHECK(run.policy.n_limit() == 1);
}

TEST_CASE("a neighbour that was there before is noticed when a trial is paid for") {
  Run run;
  run.steps({.n_cores = 2, .n_taken = 1, .core_ms = 260, .slowdown = 2.6}, 230, 1);
  CHECK(run.policy.n_limit() == 1);
  Run of_four;
  of_four.steps({.n_taken = 1}, 100);
  CHECK(of_four.policy.n_limit() == 3);
}

TEST_CASE("contexts that grow are no neighbour") {
  Run run;
  for (int i = 0; i < 4000; ++i) {
    run.steps({.n_cores = 2, .core_ms = 100.0 + 0.1 * i, .is_nervous = true}, 1, 1);
  }
  CHECK(run.policy.n_limit() == 0);
  CHECK(run.extra_ms < 0.005 * run.now_ms());
}

TEST_CASE("a limit that no longer helps goes although threads are still preempted") {
  Run run;
  run.steps({.n_taken = 1}, 100);
  run.steps({.n_taken = 2}, 400);
  REQUIRE(run.policy.n_limit() == 2);
  run.steps({.is_nervous = true}, 2000);
  CHECK(run.policy.n_limit() == 0);
}

TEST_CASE("threads come back although one of their steps is disturbed") {
  Run run;
  run.steps(Machine{4, 1}, 200);
  REQUIRE(run.policy.n_limit() == 3);
  // The neighbour has gone; of the steps with four threads one in seven takes three times as long.
  int n_full = 0;
  for (int i = 0; i < 600; ++i) {
    const int threads = run.policy.plan(4, 4);
    const bool is_disturbed = threads == 4 && ++n_full % 7 == 2;
    run.step((is_disturbed ? 300.0 : 100.0) / threads, 0);
  }
  CHECK(run.policy.n_limit() == 0);
}

TEST_CASE("steps with prompts and of other sizes are not compared") {
  Run run;
  run.steps(Machine{4, 1}, 20);
  for (int i = 0; i < 300; ++i) run.steps(Machine{4, 1}, 1, i % 2 == 0 ? 0 : 4 + i % 3);
  CHECK(run.policy.n_limit() == 0);
}

TEST_CASE("one thread stays one") {
  ThreadCount policy;
  for (int i = 0; i < 100; ++i) {
    CHECK(policy.plan(1, 1) == 1);
    policy.observe(100, i * 100.0, i * 50L);
  }
}

}  // namespace
}  // namespace pyserve
