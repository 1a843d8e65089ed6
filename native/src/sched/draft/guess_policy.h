// Decides when a draft model is worth asking: pure policy.
#pragma once

#include <functional>

namespace pyserve {

// How many tokens ahead it should guess for one request of a step of `n_requests` that all decode,
// so that most tokens come per time; 0: it does not pay. `chance`: that a guessed token is right
// when those before it are. guess_ms: one guessed token. `step_ms`: a step of so many rows.
int choose_guesses(double chance, double guess_ms, int n_requests, int n_max,
                   const std::function<double(int)>& step_ms);

}  // namespace pyserve
