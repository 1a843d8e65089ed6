// What a step computes, for a full house of requests.

#include "bench.h"
#include "sched/step/plan.h"

namespace pyserve::bench {

void bench_policy() {
  print_heading("planning a step");
  for (const int n_running : {16, 128}) {
    std::vector<RunningView> running(n_running);
    for (int i = 0; i < n_running; ++i) {
      const bool is_decode = i % 4 != 0;
      running[i].n_known = 500 + i;
      running[i].n_computed = is_decode ? running[i].n_known - 1 : 16 * i % 480;
      running[i].last_turn = i * 7 % n_running;
      running[i].waited_ms = i;
    }
    const StepLimits limits{512, 128, 100000, n_running / 2};
    measure(
        std::to_string(n_running) + " requests, a quarter with prompts",
        [&] { return static_cast<long>(plan_step(running, limits).items.size()); }, 100);
  }
}

}  // namespace pyserve::bench
