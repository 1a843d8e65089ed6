// Asks the system about this process: preemptions, the clock.
#pragma once

#include <sys/resource.h>

#include "pyserve/types.h"

namespace pyserve {

// How often a thread of this process was taken off its core although it wanted to go on.
inline long n_preemptions() {
  rusage usage{};
  return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_nivcsw : 0;
}

inline double monotonic_ms() {
  return std::chrono::duration<double, std::milli>(Clock::now().time_since_epoch()).count();
}

}  // namespace pyserve
