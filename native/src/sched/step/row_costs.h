// What steps that only decode cost by their number of rows, learnt from the steps themselves.
#pragma once

#include <cstdint>
#include <vector>

#include "sched/step/recent.h"

namespace pyserve {

// Rows do not cost the same each: kernels take several at once, until arithmetic takes longer than
// reading the weights, and experts are read for each. So every number of rows is measured by
// itself. Numbers that were not are taken to lie between those that were, and rows beyond these to
// be cheap enough for a trial. What was not measured for long is not known any more, so that a
// disturbance does not count for ever.
// Costs are relative to those of the steps just before, so that a machine that slows down, or
// contexts that grow, do not look like a difference between numbers of rows.
// Thread: engine thread only.
class RowCosts {
 public:
  // For steps of [1, n_max] rows.
  explicit RowCosts(int n_max);

  // A step has computed so many rows. Others than [1, n_max] are ignored, and those without time.
  void observe(int n_rows, double step_ms);

  // What a step of so many rows would take. 0: none was measured. REQUIRES: 1 <= n_rows <= n_max.
  double step_ms(int n_rows) const;

  // The most rows of a step of at most `most_ms` that are no leap in the dark: twice as many as
  // were measured, if these do not get dearer faster than they did. 0: none was measured.
  int n_trial_max(double most_ms) const;

 private:
  static constexpr size_t kFewest = 2;  // measurements: one may be a disturbance

  struct Size {
    Recent<15> costs;
    int64_t seen_at = 0;  // step
    bool is_known() const { return costs.size() >= kFewest; }
  };

  void forget();
  double slowdown() const { return slowdowns_.size() > 0 ? slowdowns_.median() : 1; }
  double cost(int n_rows) const;
  int n_known_max(int n_most) const;

  std::vector<Size> sizes_;    // [n_rows - 1]
  std::vector<double> costs_;  // medians of the known sizes, else 0
  Recent<5> slowdowns_;        // recent steps, relative to what their size has cost
  int64_t n_steps_ = 0;
};

}  // namespace pyserve
