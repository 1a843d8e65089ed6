// What trials may cost: a share of the time spent computing.
#pragma once

#include <algorithm>

namespace pyserve {

// An account: every step pays in its share, every step of a trial takes out what it took longer
// than steps do. A trial begins when its price is there, so that all trials together cost no more
// than the share, but for what the last one took beyond its price; the next one waits until that is
// paid back.
class TrialBudget {
 public:
  explicit TrialBudget(double share) : share_(share) {}

  // A step took `step_ms`; `extra_ms` of them are a trial's.
  void observe(double step_ms, double extra_ms) { saved_ms_ += share_ * step_ms - extra_ms; }

  // Whether a trial may begin that is expected to cost `price_ms` >= 0.
  bool covers(double price_ms) const { return saved_ms_ >= price_ms; }

  bool is_overdrawn_by(double ms) const { return saved_ms_ < -ms; }

  // What was saved up for a trial is not there for the next one: many in a row would be felt.
  void end_trial() { saved_ms_ = std::min(saved_ms_, 0.0); }

 private:
  const double share_;
  double saved_ms_ = 0;
};

}  // namespace pyserve
