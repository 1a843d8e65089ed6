#include "sched/step/thread_count.h"

#include <doctest/doctest.h>

namespace pyserve {
namespace {

// A machine with `n_cores` cores, `n_taken` of which a neighbour uses. A step waits for its slowest
// thread: threads that share a core take twice as long.
struct Machine {
  int n_cores = 4;
  int n_taken = 0;

  double step_ms(int n_threads) const {
    return (n_threads > n_cores - n_taken ? 2.0 : 1.0) * 100.0 / n_threads;
  }
  long preemptions(int n_threads) const { return n_threads > n_cores - n_taken ? 10 : 0; }
};

class Run {
 public:
  int threads = 0;

  void steps(const Machine& machine, int n, int n_rows = 4) {
    for (int i = 0; i < n; ++i) {
      threads = policy.plan(machine.n_cores, n_rows, now_ms_);
      const double ms = machine.step_ms(threads);
      now_ms_ += ms;
      n_preempted_ += machine.preemptions(threads);
      policy.observe(ms, now_ms_, n_preempted_);
    }
  }

  ThreadCount policy;

 private:
  double now_ms_ = 0;
  long n_preempted_ = 0;
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
  int n_full = 0;
  for (int i = 0; i < 2000; ++i) {
    run.threads = run.policy.plan(4, 4, i * 30.0);
    n_full += run.threads == 4 ? 1 : 0;
    run.policy.observe(120.0 / run.threads, i * 30.0, i * 5L);
  }
  CHECK(run.policy.n_limit() == 0);
  CHECK(n_full > 1900);
}

TEST_CASE("a trial that is plainly slower ends at its second step") {
  // The threads are preempted now and then for less than fewer of them would cost.
  ThreadCount policy;
  double now_ms = 0;
  int n_fewer = 0;
  for (int i = 0; i < 600; ++i) {
    const int threads = policy.plan(2, 4, now_ms);
    n_fewer += threads == 1 ? 1 : 0;
    const double ms = threads == 1 ? 90 : 50;
    now_ms += ms;
    policy.observe(ms, now_ms, i * 5L);
  }
  CHECK(policy.n_limit() == 0);
  CHECK(n_fewer > 0);
  // 30 seconds: at the beginning, and 4 and 20 seconds later.
  CHECK(n_fewer <= 2 * 3);
}

TEST_CASE("threads come back although one of their steps is disturbed") {
  Run run;
  run.steps(Machine{4, 1}, 200);
  REQUIRE(run.policy.n_limit() == 3);
  // The neighbour has gone; of the steps with four threads one in seven takes three times as long.
  ThreadCount& policy = run.policy;
  double now_ms = 1e5;
  int n_full = 0;
  for (int i = 0; i < 300; ++i) {
    const int threads = policy.plan(4, 4, now_ms);
    double ms = 100.0 / threads;
    if (threads == 4 && ++n_full % 7 == 2) ms *= 3;
    now_ms += ms;
    policy.observe(ms, now_ms, 0);
  }
  CHECK(policy.n_limit() == 0);
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
    CHECK(policy.plan(1, 1, i * 100.0) == 1);
    policy.observe(100, i * 100.0, i * 50L);
  }
}

}  // namespace
}  // namespace pyserve
