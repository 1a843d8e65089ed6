// How often something happens, by the last few times that it did.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "pyserve/types.h"

namespace pyserve {

// Thread: one at a time.
class EventRate {
 public:
  void push(TimePoint now) { times_[n_pushed_++ % kSize] = now; }
  // What was before says nothing about what comes.
  void clear() { n_pushed_ = 0; }

  // The mean time from one to the next, as far as it is known at `now`; < 0: not yet.
  double ms_per_event(TimePoint now) const {
    if (n_pushed_ < 2) return -1;
    const size_t n_kept = n_pushed_ < kSize ? n_pushed_ : kSize;
    return elapsed_ms(times_[(n_pushed_ - n_kept) % kSize], now) / static_cast<double>(n_kept);
  }

 private:
  static constexpr size_t kSize = 16;

  std::array<TimePoint, kSize> times_{};
  size_t n_pushed_ = 0;
};

// What a client is told: whole seconds, at least one and at most a minute.
inline int64_t retry_after_s(double wait_ms) {
  return std::clamp(static_cast<int64_t>(std::ceil(wait_ms / 1000)), int64_t{1}, int64_t{60});
}

}  // namespace pyserve
