// Decides when a draft model is worth asking: pure policy.
#pragma once

#include <functional>
#include <limits>

namespace pyserve {

// A step in which `n_requests` decode, and `n_asked` of them may be guessed for.
struct GuessChoice {
  int n_requests = 1;
  int n_asked = 1;
  int n_max = 0;        // tokens ahead
  int n_rows_max = 0;   // of the step, those of the requests themselves included
  double chance = 0;    // that a guessed token is right when those before it are
  double guess_ms = 0;  // one more token for each that is asked for
  double most_ms = std::numeric_limits<double>::infinity();  // of guesses and the step together
};

// How many tokens ahead should be guessed, so that most tokens come per time; 0: it does not pay.
// `step_ms`: a step of so many rows.
int choose_guesses(const GuessChoice& choice, const std::function<double(int)>& step_ms);

}  // namespace pyserve
