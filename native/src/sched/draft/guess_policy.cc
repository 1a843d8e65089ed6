#include "sched/draft/guess_policy.h"

namespace pyserve {

int choose_guesses(const GuessChoice& choice, const std::function<double(int)>& step_ms) {
  constexpr double kMinGain = 1.05;
  double n_expected = choice.n_requests;
  double best = kMinGain * choice.n_requests / step_ms(choice.n_requests);
  double all = 1;
  int n_best = 0;
  for (int n = 1; n <= choice.n_max; ++n) {
    const int n_rows = choice.n_requests + n * choice.n_asked;
    if (n_rows > choice.n_rows_max) break;
    n_expected += choice.n_asked * (all *= choice.chance);
    const double ms = step_ms(n_rows) + n * choice.guess_ms;
    if (ms > choice.most_ms || n_expected / ms <= best) continue;
    best = n_expected / ms;
    n_best = n;
  }
  return n_best;
}

}  // namespace pyserve
