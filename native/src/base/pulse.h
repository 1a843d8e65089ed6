// A heartbeat: how long a thread that has work has not got on with it.
#pragma once

#include <atomic>
#include <chrono>
#include <limits>

namespace pyserve {

// Thread: beat() and rest() are for the thread that works, or its helpers; stalled_ms() for any.
class Pulse {
 public:
  // Something was done, or work begins.
  void beat() { last_.store(now_ns(), std::memory_order_relaxed); }
  // There is no work, until the next beat().
  void rest() { last_.store(kResting, std::memory_order_relaxed); }
  // Since the last beat; 0 while there is no work.
  double stalled_ms() const {
    const int64_t last = last_.load(std::memory_order_relaxed);
    return last == kResting ? 0.0 : static_cast<double>(now_ns() - last) / 1e6;
  }

 private:
  static constexpr int64_t kResting = std::numeric_limits<int64_t>::max();

  static int64_t now_ns() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
  }

  std::atomic<int64_t> last_{kResting};
};

// The pulse that shows this thread's work, for code that does not know which thread it runs on.
inline thread_local Pulse* thread_pulse = nullptr;

// The work of this thread has got on.
inline void beat_thread_pulse() {
  if (thread_pulse != nullptr) thread_pulse->beat();
}

}  // namespace pyserve
