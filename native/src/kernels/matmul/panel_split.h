// Which panels of 16 rows a thread computes.
#pragma once

#include <algorithm>
#include <cstdint>

#include "ggml-cpu-impl.h"

namespace pyserve {

// Calls run(begin, end) for those of this thread: a run of its own, for weights are fetched ahead
// in their order. When they are dealt out, the last quarter is taken a few at a time, for one
// thread may be slower than another; the counter of the thread pool, 0 before, is 0 after.
template <typename Run>
void for_each_run(const ggml_compute_params* params, int n_panels, bool is_dealt_out, Run run) {
  constexpr int kChunksPerThread = 4;
  constexpr int kMaxChunk = 64;
  const int nth = params->nth;
  if (!is_dealt_out || nth == 1) {
    run(n_panels * params->ith / nth, n_panels * (params->ith + 1) / nth);
    return;
  }
  const int n_own = n_panels * 3 / 4 / nth;
  const int n_shared = n_panels - n_own * nth;
  const int n_together = std::clamp(n_shared / (kChunksPerThread * nth), 1, kMaxChunk);
  const int n_chunks = (n_shared + n_together - 1) / n_together;
  run(n_own * params->ith, n_own * (params->ith + 1));
  int chunk = ggml_threadpool_chunk_add(params->threadpool, 1);
  for (; chunk < n_chunks; chunk = ggml_threadpool_chunk_add(params->threadpool, 1)) {
    const int first = n_own * nth + chunk * n_together;
    run(first, std::min(first + n_together, n_panels));
  }
  // No other thread asks again.
  if (chunk == n_chunks + nth - 1) ggml_threadpool_chunk_set(params->threadpool, 0);
}

// Calls run(panel) for each of them.
template <typename Run>
void for_each_panel(const ggml_compute_params* params, int n_panels, bool is_dealt_out, Run run) {
  for_each_run(params, n_panels, is_dealt_out, [&](int begin, int end) {
    for (int panel = begin; panel < end; ++panel) run(panel);
  });
}

}  // namespace pyserve
