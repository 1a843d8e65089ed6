#include "sched/step/thread_count.h"

#include <algorithm>

#include "base/check.h"

namespace pyserve {
namespace {

constexpr double kCountEveryMs = 500;

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

int ThreadCount::plan(int n_allowed, int n_rows, double now_ms) {
  PYSERVE_CHECK(n_allowed >= 1);
  if (n_rows_ == 0 && n_rows > 0) start_trial(n_allowed, n_rows, now_ms);
  is_counted_ = n_rows_ != 0 && n_rows == n_rows_ && n_allowed == n_allowed_;
  if (is_counted_) return numbers_[n_step_ / options_.n_block_steps % 2];
  // Another size in between: the block begins again. What runs may have changed for good.
  n_step_ = n_step_ / options_.n_block_steps * options_.n_block_steps;
  if (n_rows_ != 0 && ++n_others_ > options_.n_others_max) n_rows_ = 0;
  return current(n_allowed);
}

int ThreadCount::current(int n_allowed) const {
  return n_limit_ == 0 ? n_allowed : std::min(n_allowed, n_limit_);
}

void ThreadCount::start_trial(int n_allowed, int n_rows, double now_ms) {
  const int n_now = current(n_allowed);
  const bool is_limited = n_now < n_allowed;
  if (now_ms < next_trial_ms_ || n_allowed < 2) return;
  if (!is_limited && !is_preempted_) return;
  if (is_preempted_ && n_now > 1) {
    numbers_[1] = n_now - 1;
  } else if (is_limited) {
    numbers_[1] = n_now + 1;
  } else {
    return;
  }
  numbers_[0] = n_now;
  n_allowed_ = n_allowed;
  n_rows_ = n_rows;
  n_step_ = 0;
  n_others_ = 0;
  n_slow_ = 0;
  for (std::vector<double>& times : times_) times.clear();
}

void ThreadCount::observe(double step_ms, double now_ms, long n_preempted) {
  if (n_preempted_ < 0) {
    n_preempted_ = n_preempted;
    counted_at_ms_ = now_ms;
  } else if (const double elapsed = now_ms - counted_at_ms_; elapsed >= kCountEveryMs) {
    const auto n_new = static_cast<double>(n_preempted - n_preempted_);
    const bool is_preempted = n_new * 1000 / elapsed >= options_.preempted_per_s;
    is_preempted_ = is_preempted && was_preempted_;
    was_preempted_ = is_preempted;
    n_preempted_ = n_preempted;
    counted_at_ms_ = now_ms;
  }
  if (n_rows_ == 0 || !is_counted_) return;
  const int block = n_step_ / options_.n_block_steps;
  if (n_step_ % options_.n_block_steps != 0) {
    if (block % 2 == 1 && is_lost(step_ms)) {
      n_rows_ = 0;
      wait(numbers_[1] < numbers_[0] ? 4 : 2, now_ms);
      return;
    }
    times_[block % 2].push_back(step_ms);
  }
  if (++n_step_ == options_.n_blocks * options_.n_block_steps) finish_trial(now_ms);
}

bool ThreadCount::is_lost(double step_ms) {
  const double slowest_ms = *std::max_element(times_[0].begin(), times_[0].end());
  n_slow_ += step_ms > slowest_ms * (1 + options_.loss) ? 1 : 0;
  return n_slow_ >= (numbers_[1] < numbers_[0] ? 1 : 2);
}

void ThreadCount::wait(double factor, double now_ms) {
  wait_ms_ = wait_ms_ == 0 ? options_.first_wait_ms * factor / 2
                           : std::min(wait_ms_ * factor, options_.max_wait_ms);
  next_trial_ms_ = now_ms + wait_ms_;
}

void ThreadCount::finish_trial(double now_ms) {
  n_rows_ = 0;
  const bool is_better = median(times_[1]) < median(times_[0]) * (1 - options_.gain);
  if (is_better) {
    n_limit_ = numbers_[1] >= n_allowed_ ? 0 : numbers_[1];
    wait_ms_ = 0;
    // The next one may be better still.
    next_trial_ms_ = now_ms;
  } else {
    wait(2, now_ms);
  }
}

}  // namespace pyserve
