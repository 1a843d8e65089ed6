#include "sched/step/thread_count.h"

#include <algorithm>

#include "base/check.h"

namespace pyserve {
namespace {

constexpr double kCountEveryMs = 500;
constexpr double kOverdraftSteps = 4;  // after which a trial ends, whatever it shows

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

int ThreadCount::plan(int n_allowed, int n_rows) {
  PYSERVE_CHECK(n_allowed >= 1);
  if (n_rows_ == 0 && n_rows > 0) start_trial(n_allowed, n_rows);
  n_planned_rows_ = n_rows;
  n_planned_threads_ = current(n_allowed);
  is_counted_ = n_rows_ != 0 && n_rows == n_rows_ && n_allowed == n_allowed_;
  if (is_counted_) {
    n_planned_threads_ = numbers_[is_tried() ? 1 : 0];
    return n_planned_threads_;
  }
  // Another size in between: the block begins again. What runs may have changed for good.
  n_step_ = n_step_ / options_.n_block_steps * options_.n_block_steps;
  if (n_rows_ != 0 && ++n_others_ > options_.n_others_max) n_rows_ = 0;
  return n_planned_threads_;
}

int ThreadCount::current(int n_allowed) const {
  return n_limit_ == 0 ? n_allowed : std::min(n_allowed, n_limit_);
}

void ThreadCount::start_trial(int n_allowed, int n_rows) {
  const int n_now = current(n_allowed);
  const bool is_limited = n_now < n_allowed;
  const Size& size = sizes_[n_rows];
  if (n_allowed < 2 || size.n_threads != n_now || !size.times.is_full()) return;
  const bool tries_fewer = is_preempted_ && n_now > 1 && !(is_limited && failed_fewer_);
  if (!tries_fewer && !is_limited) return;
  const double price_ms = tries_fewer ? price_of_fewer(size) : price_of_more(size);
  if (!budget_.covers(price_ms)) return;
  numbers_[0] = n_now;
  numbers_[1] = tries_fewer ? n_now - 1 : n_now + 1;
  n_allowed_ = n_allowed;
  n_rows_ = n_rows;
  n_step_ = 0;
  n_others_ = 0;
  n_slow_ = 0;
  n_slow_max_ = tries_fewer && price_ms > 0 ? 1 : 2;
  for (std::vector<double>& times : times_) times.clear();
}

double ThreadCount::price_of_fewer(const Size& size) const {
  const double usual_ms = size.times.median();
  const double expected_ms = size.quiet_core_ms / (size.n_threads - 1);
  // One that is plainly slower ends with the first step that counts.
  const bool ends_soon = expected_ms > usual_ms * (1 + options_.loss);
  const int n_steps = ends_soon ? 2 : options_.n_blocks / 2 * options_.n_block_steps;
  return std::max(expected_ms - usual_ms, 0.0) * n_steps * backoff_;
}

double ThreadCount::price_of_more(const Size& size) const {
  constexpr int kSteps = 3;  // the first, and two slow ones
  return size.times.median() * more_extra_ * kSteps;
}

void ThreadCount::observe(double step_ms, double now_ms, long n_preempted) {
  count_preemptions(now_ms, n_preempted);
  budget_.observe(step_ms, extra_ms(step_ms));
  if (!is_tried()) learn(step_ms);
  if (n_rows_ == 0 || !is_counted_) return;
  if (n_step_ % options_.n_block_steps != 0) {
    if (is_tried() && is_lost(step_ms)) {
      if (!is_fewer()) more_extra_ = extra_ms(step_ms) / median(times_[0]);
      lose_trial();
      return;
    }
    times_[is_tried() ? 1 : 0].push_back(step_ms);
  }
  if (++n_step_ == options_.n_blocks * options_.n_block_steps) finish_trial();
}

void ThreadCount::count_preemptions(double now_ms, long n_preempted) {
  const double elapsed_ms = now_ms - counted_at_ms_;
  if (n_preempted_ >= 0 && elapsed_ms < kCountEveryMs) return;
  if (n_preempted_ >= 0) {
    const auto n_new = static_cast<double>(n_preempted - n_preempted_);
    const bool is_preempted = n_new * 1000 / elapsed_ms >= options_.preempted_per_s;
    is_preempted_ = is_preempted && was_preempted_;
    was_preempted_ = is_preempted;
  }
  n_preempted_ = n_preempted;
  counted_at_ms_ = now_ms;
}

void ThreadCount::learn(double step_ms) {
  if (n_planned_rows_ == 0) return;
  Size& size = sizes_[n_planned_rows_];
  if (size.n_threads != n_planned_threads_) {
    size.n_threads = n_planned_threads_;
    size.times = {};
  }
  size.times.push(step_ms);
  if (!size.times.is_full()) return;
  const double core_ms = size.times.median() * size.n_threads;
  const bool is_least = size.quiet_core_ms == 0 || core_ms < size.quiet_core_ms;
  if (is_least) size.quiet_core_ms = core_ms;
}

double ThreadCount::extra_ms(double step_ms) const {
  return is_tried() ? std::max(step_ms - median(times_[0]), 0.0) : 0;
}

bool ThreadCount::is_lost(double step_ms) {
  const double slowest_ms = *std::max_element(times_[0].begin(), times_[0].end());
  n_slow_ += step_ms > slowest_ms * (1 + options_.loss) ? 1 : 0;
  return n_slow_ >= n_slow_max_ || budget_.is_overdrawn_by(kOverdraftSteps * median(times_[0]));
}

void ThreadCount::lose_trial() {
  n_rows_ = 0;
  budget_.end_trial();
  failed_fewer_ = is_fewer();
  if (!is_fewer()) return;
  backoff_ = std::min(2 * backoff_, options_.max_backoff);
  // Steps that take longer than they did are no sign of a neighbour, or not one to give way to.
  Size& size = sizes_[n_planned_rows_];
  size.quiet_core_ms = std::max(size.quiet_core_ms, median(times_[0]) * numbers_[0]);
}

void ThreadCount::finish_trial() {
  const double before_ms = median(times_[0]);
  const double after_ms = median(times_[1]);
  const bool is_better = after_ms < before_ms * (1 - options_.gain);
  if (!is_better) {
    if (!is_fewer()) more_extra_ = std::max(after_ms / before_ms - 1, options_.gain);
    lose_trial();
    return;
  }
  n_rows_ = 0;
  budget_.end_trial();
  n_limit_ = numbers_[1] >= n_allowed_ ? 0 : numbers_[1];
  backoff_ = 1;
  failed_fewer_ = false;
  // The next one may be better still when they come back.
  more_extra_ = is_fewer() ? before_ms / after_ms - 1 : 0;
}

}  // namespace pyserve
