// The last few measurements and their median.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

namespace pyserve {

// A median ignores spikes, and follows a change once half of the window has seen it.
template <size_t kSize>
class Recent {
 public:
  void push(double value) {
    values_[n_pushed_ % kSize] = value;
    ++n_pushed_;
  }

  size_t size() const { return std::min(n_pushed_, kSize); }
  bool is_full() const { return n_pushed_ >= kSize; }

  // The lower median; 0 when there is none.
  double median() const { return quantile(0.5); }

  // The value that at least this share of all does not exceed; 0 when there is none.
  // REQUIRES: 0 < share <= 1.
  double quantile(double share) const {
    if (n_pushed_ == 0) return 0;
    std::array<double, kSize> sorted = values_;
    const auto rank = static_cast<std::ptrdiff_t>(std::ceil(share * static_cast<double>(size())));
    const auto wanted = sorted.begin() + std::max<std::ptrdiff_t>(rank - 1, 0);
    std::nth_element(sorted.begin(), wanted, sorted.begin() + static_cast<std::ptrdiff_t>(size()));
    return *wanted;
  }

 private:
  std::array<double, kSize> values_{};
  size_t n_pushed_ = 0;
};

}  // namespace pyserve
