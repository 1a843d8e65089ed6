// Types that every room shares: tokens, ids, the clock.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>

namespace pyserve {

using Token = int32_t;
using SeqId = int32_t;
using RequestId = uint64_t;
using TokenSpan = std::span<const Token>;

// Monotonic; wall-clock jumps must not end requests.
using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;

inline double elapsed_ms(TimePoint begin, TimePoint end) {
  return std::chrono::duration<double, std::milli>(end - begin).count();
}

}  // namespace pyserve
