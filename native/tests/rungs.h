// The kernels of every rung that this CPU can run.
#pragma once

#include <algorithm>
#include <vector>

#include "base/kernel_rung.h"

namespace pyserve {

// Whether kernels of ours are in use; the vendored ones promise less.
inline bool has_ours() { return rung_in_force() != Rung::kStock; }

// What `kernels_of` gives for these rungs, each once, beginning with the lowest.
template <typename KernelsOf>
auto kernels_here(KernelsOf kernels_of) {
  std::vector<decltype(kernels_of(Rung::kStock))> found;
  for (auto rung = kLadder.rbegin(); rung != kLadder.rend(); ++rung) {
    if (!can_run(*rung)) continue;
    const auto kernels = kernels_of(*rung);
    if (kernels != nullptr && std::find(found.begin(), found.end(), kernels) == found.end()) {
      found.push_back(kernels);
    }
  }
  return found;
}

}  // namespace pyserve
