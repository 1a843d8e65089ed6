// The last few measurements and their median.
#pragma once

#include <algorithm>
#include <array>
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
  double median() const {
    if (n_pushed_ == 0) return 0;
    std::array<double, kSize> sorted = values_;
    const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>((size() - 1) / 2);
    std::nth_element(sorted.begin(), middle, sorted.begin() + static_cast<std::ptrdiff_t>(size()));
    return *middle;
  }

 private:
  std::array<double, kSize> values_{};
  size_t n_pushed_ = 0;
};

}  // namespace pyserve
