#include "sched/step/concurrency.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/check.h"

namespace pyserve {
namespace {

double throughput(std::span<const double> costs, int n_rows) {
  const double cost = costs[n_rows - 1];
  return cost > 0 ? n_rows / cost : 0;
}

// Of `n_ready` rows, or of the nearest size that is measured and above the limit. 0: unknown.
double throughput_of_all(std::span<const double> costs, int n_ready, int n_limit) {
  int best = 0;
  for (int n = n_limit + 1; n <= static_cast<int>(costs.size()); ++n) {
    if (costs[n - 1] <= 0) continue;
    if (best == 0 || std::abs(n - n_ready) < std::abs(best - n_ready)) best = n;
  }
  return best == 0 ? 0 : throughput(costs, best);
}

// Sizes worth probing: 1, 2, 3, 4, 6, 8, 12, 16, ...
int next_size(int n) {
  if (n < 4) return n + 1;
  return (n & (n - 1)) == 0 ? n + n / 2 : n / 3 * 4;
}

}  // namespace

int choose_rows(std::span<const double> costs, int n_ready, int n_limit,
                const ConcurrencyOptions& options) {
  const int n_sizes = static_cast<int>(costs.size());
  const bool is_limited = 0 < n_limit && n_limit < n_ready;
  const double all = throughput_of_all(costs, n_ready, is_limited ? n_limit : 0);
  if (all <= 0) return n_ready;
  double best = 0;
  for (int n = 1; n < n_ready && n <= n_sizes; ++n) best = std::max(best, throughput(costs, n));
  const double gain = is_limited ? options.keep_gain : options.min_gain;
  if (best < all * (1 + gain)) return n_ready;
  const double good = best * (1 - options.tie);
  if (is_limited && n_limit <= n_sizes && throughput(costs, n_limit) >= good) return n_limit;
  int n = 1;
  while (throughput(costs, n) < good) ++n;
  return n;
}

Concurrency::Concurrency(const ConcurrencyOptions& options)
    : options_(options), sizes_(options.n_max), costs_(options.n_max) {
  PYSERVE_CHECK(options.n_max >= 1);
}

int Concurrency::plan(int n_ready) {
  PYSERVE_CHECK(n_ready >= 1);
  n_ready = std::min(n_ready, options_.n_max);
  ++n_steps_;
  if (n_probe_steps_left_ > 0) {
    --n_probe_steps_left_;
    if (n_probed_rows_ <= n_ready) return n_probed_rows_;
    n_probe_steps_left_ = 0;
  }
  n_probed_rows_ = 0;
  choose_limit(n_ready);
  const int n_rows = n_limit_ == 0 ? n_ready : std::min(n_ready, n_limit_);
  return start_probe(n_ready, n_rows) ? n_probed_rows_ : n_rows;
}

void Concurrency::observe(int n_rows, double step_ms) {
  if (n_rows < 1 || n_rows > options_.n_max || !(step_ms > 0)) return;
  Size& size = sizes_[n_rows - 1];
  const double slowdown = slowdowns_.size() > 0 ? slowdowns_.median() : 1;
  const bool is_probe = n_rows == n_probed_rows_;
  // A size that is known stays as it is until it is probed: all others are relative to it.
  if (is_probe || !size.costs.is_full()) {
    size.costs.push(step_ms / slowdown);
    if (is_known(n_rows)) costs_[n_rows - 1] = size.costs.median();
  }
  if (!is_probe && is_known(n_rows)) slowdowns_.push(step_ms / costs_[n_rows - 1]);
}

void Concurrency::choose_limit(int n_ready) {
  const int n_rows = choose_rows(costs_, n_ready, n_limit_, options_);
  // A crowd smaller than the limit says nothing about it.
  if (n_rows < n_ready) {
    n_limit_ = n_rows;
  } else if (n_limit_ < n_ready) {
    n_limit_ = 0;
  }
}

bool Concurrency::start_probe(int n_ready, int n_rows) {
  // Without a reference there is nothing to compare with.
  if (slowdowns_.size() == 0) return false;
  const int n = stalest(n_ready, n_rows);
  if (n == 0) return false;
  const int every = is_known(n) ? options_.probe_every : options_.learn_every;
  if (n_steps_ - last_probe_at_ < every) return false;
  last_probe_at_ = n_steps_;
  sizes_[n - 1].probed_at = n_steps_;
  n_probed_rows_ = n;
  n_probe_steps_left_ = options_.n_probe_steps - 1;
  return true;
}

int Concurrency::stalest(int n_ready, int n_rows) const {
  const auto key = [&](int n) { return std::pair(is_known(n), sizes_[n - 1].probed_at); };
  int best = 0;
  const auto consider = [&](int n) {
    // Of equal ones the larger: it is the likelier one to be good.
    if (n != n_rows && (best == 0 || key(n) <= key(best))) best = n;
  };
  for (int n = 1; n < n_ready; n = next_size(n)) consider(n);
  consider(n_ready);
  return best;
}

}  // namespace pyserve
