// Foretells when waiting requests start, by what those before them still have to do.
#pragma once

#include <span>
#include <vector>

#include "sched/admission/answer_lengths.h"

namespace pyserve {

// What a request has yet to do.
struct LoadView {
  int n_prompt = 0;  // tokens of its prompt to compute
  int n_said = 0;    // tokens of its answer
  int n_left = 0;    // tokens that it may still say
  int n_cells = 0;   // running: those it gives back; waiting: those it needs to start
};

// The places that requests run in.
struct RoomView {
  int n_slots = 0;  // requests at a time
  int n_cells = 0;  // free now
};

// Speeds are those of the last seconds; prompts are computed one after the other, answers at the
// same time. Thread: one at a time.
class StartForecast {
 public:
  // A step took `step_ms`: it computed `n_prompt` tokens of prompts, and `n_said` tokens were said
  // by `n_answering` requests that were in the middle of their answers.
  void observe_step(double step_ms, int n_prompt, int n_said, int n_answering);
  // An answer is over. has_ended: by itself, not at a limit.
  void observe_end(int n_said, bool has_ended) { lengths_.push(n_said, has_ended); }

  // In how many ms each of `waiting` starts, which start in this order; empty: not known yet.
  std::vector<double> start_ms(std::span<const LoadView> running, std::span<const LoadView> waiting,
                               RoomView room) const;

 private:
  // Work and the time that it took, of late.
  struct Pace {
    double ms = 0;
    double n_tokens = 0;

    void fade(double factor);
    double ms_per_token() const { return ms / n_tokens; }
  };

  bool is_known(int n_slots) const;
  double answer_ms(const LoadView& load) const;

  AnswerLengths lengths_;
  Pace prompt_;
  Pace answer_;
};

}  // namespace pyserve
