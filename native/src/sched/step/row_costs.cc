#include "sched/step/row_costs.h"

#include <algorithm>

#include "base/check.h"

namespace pyserve {
namespace {

constexpr double kTrialRowCost = 0.15;  // of the smallest step, for each row more
constexpr int64_t kStaleSteps = 512;

}  // namespace

RowCosts::RowCosts(int n_max) : sizes_(n_max), costs_(n_max) { PYSERVE_CHECK(n_max >= 1); }

void RowCosts::observe(int n_rows, double step_ms) {
  if (n_rows < 1 || n_rows > static_cast<int>(sizes_.size()) || !(step_ms > 0)) return;
  ++n_steps_;
  forget();
  Size& size = sizes_[n_rows - 1];
  double& cost = costs_[n_rows - 1];
  // NOTE: the machine's speed is followed faster than the costs, so that it does not become theirs.
  const double slowdown = this->slowdown();
  if (cost > 0) slowdowns_.push(step_ms / cost);
  size.costs.push(step_ms / slowdown);
  size.seen_at = n_steps_;
  if (size.is_known()) cost = size.costs.median();
}

void RowCosts::forget() {
  for (size_t i = 0; i < sizes_.size(); ++i) {
    if (sizes_[i].costs.size() == 0 || n_steps_ - sizes_[i].seen_at <= kStaleSteps) continue;
    sizes_[i] = Size();
    costs_[i] = 0;
  }
}

double RowCosts::step_ms(int n_rows) const {
  PYSERVE_CHECK(n_rows >= 1 && n_rows <= static_cast<int>(sizes_.size()));
  return slowdown() * cost(n_rows);
}

int RowCosts::n_trial_max(double most_ms) const {
  const auto n_max = static_cast<int>(costs_.size());
  const int n_known = n_known_max(n_max);
  if (n_known == 0) return 0;
  const int n_before = n_known_max(n_known - 1);
  const double dearest = cost(n_known);
  double per_row = kTrialRowCost * cost(1);
  if (n_before > 0) per_row = std::max(per_row, (dearest - cost(n_before)) / (n_known - n_before));
  const double n_more = std::max(0.0, (most_ms / slowdown() - dearest) / per_row);
  return std::min(
      {n_max, 2 * n_known, n_known + static_cast<int>(std::min<double>(n_more, n_max))});
}

// The largest number of rows up to `n_most` that is known; 0: none.
int RowCosts::n_known_max(int n_most) const {
  while (n_most > 0 && costs_[n_most - 1] <= 0) --n_most;
  return n_most;
}

double RowCosts::cost(int n_rows) const {
  const auto is_known = [](double cost) { return cost > 0; };
  const auto at = costs_.begin() + (n_rows - 1);
  const auto least = std::find_if(costs_.begin(), costs_.end(), is_known);
  if (least == costs_.end()) return 0;
  if (at < least) return *least / (1 + kTrialRowCost * static_cast<double>(least - at));
  auto below = at;
  while (!is_known(*below)) --below;
  const auto above = std::find_if(at, costs_.end(), is_known);
  const auto n_more = static_cast<double>(at - below);
  if (above == costs_.end()) return *below + kTrialRowCost * *least * n_more;
  if (above == at) return *at;
  return *below + (*above - *below) * n_more / static_cast<double>(above - below);
}

}  // namespace pyserve
