// Buffers whose memory is taken when it is written, and not before.
#pragma once

#include <mutex>

namespace pyserve {

// The vendor writes zeros into a whole KV cache when it makes one. While this lives, buffers of the
// CPU that are made are cleared by giving their pages back to the system, which has zeros for them
// when they are next used: a large cache costs what is in it.
// Thread: any; one waits for the other.
class LazyBuffers {
 public:
  LazyBuffers();
  ~LazyBuffers();
  LazyBuffers(const LazyBuffers&) = delete;
  LazyBuffers& operator=(const LazyBuffers&) = delete;

 private:
  std::lock_guard<std::mutex> lock_;
};

}  // namespace pyserve
