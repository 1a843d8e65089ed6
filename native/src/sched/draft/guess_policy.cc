#include "sched/draft/guess_policy.h"

namespace pyserve {

int choose_guesses(double chance, double guess_ms, int n_requests, int n_max,
                   const std::function<double(int)>& step_ms) {
  constexpr double kMinGain = 1.05;
  double n_expected = n_requests;
  double best = kMinGain * n_requests / step_ms(n_requests);
  double all = 1;
  int n_best = 0;
  for (int n = 1; n <= n_max; ++n) {
    n_expected += all *= chance;
    const double rate = n_expected / (step_ms(n_requests + n) + n * guess_ms);
    if (rate <= best) continue;
    best = rate;
    n_best = n;
  }
  return n_best;
}

}  // namespace pyserve
