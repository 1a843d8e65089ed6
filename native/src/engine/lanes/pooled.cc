#include "engine/lanes/pooled.h"

#include <algorithm>
#include <cmath>

namespace pyserve {

void PooledState::add(std::span<const float> state) {
  const bool is_first = n_added_++ == 0;
  if (pooling_ == Pooling::kFirst && !is_first) return;
  if (pooling_ != Pooling::kMean || is_first) {
    std::copy(state.begin(), state.end(), sum_.begin());
    return;
  }
  for (size_t i = 0; i < sum_.size(); ++i) sum_[i] += state[i];
}

// The mean is the sum but for its length, which becomes 1.
std::vector<float> PooledState::normalized() const {
  double n_squares = 0;
  for (const double value : sum_) n_squares += value * value;
  if (!std::isfinite(n_squares) || n_squares <= 0) return {};
  return scaled(1 / std::sqrt(n_squares));
}

std::vector<float> PooledState::state() const {
  const auto is_finite = [](double value) { return std::isfinite(value); };
  if (!std::all_of(sum_.begin(), sum_.end(), is_finite)) return {};
  return scaled(pooling_ == Pooling::kMean ? 1.0 / n_added_ : 1);
}

std::vector<float> PooledState::scaled(double scale) const {
  std::vector<float> vector;
  vector.reserve(sum_.size());
  for (const double value : sum_) vector.push_back(static_cast<float>(value * scale));
  return vector;
}

}  // namespace pyserve
