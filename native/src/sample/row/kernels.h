// Passes over one row of logits, in the instructions of a rung.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/kernel_rung.h"

namespace pyserve {

// A row is looked at in blocks of kBlock logits; the last one may be shorter.
inline constexpr size_t kBlock = 256;

inline size_t n_blocks(size_t n_logits) { return (n_logits + kBlock - 1) / kBlock; }

// One implementation of the passes. Results differ between implementations only by the rounding of
// exp (relative error below 1e-6). Immutable: any thread.
struct RowKernels {
  const char* name;

  // max[b] = largest logit of block b. Returns false when a logit is NaN.
  bool (*block_max)(const float* logits, size_t n, float* max);

  // sum[b] = sum of exp((logit - max[b]) * scale) over block b; blocks of -infinity sum to 0.
  void (*block_exp_sum)(const float* logits, size_t n, float scale, const float* max, float* sum);

  // out[i] = exp((logits[i] - max) * scale).
  void (*exp_values)(const float* logits, size_t n, float scale, float max, float* out);

  // Writes the indices (plus `base`) and values of logits >= threshold; both arrays have room for
  // n. Returns how many there are.
  size_t (*collect)(const float* logits, size_t n, float threshold, int32_t base, int32_t* ids,
                    float* values);
};

// Those of a rung.
const RowKernels& row_kernels(Rung rung = rung_in_force());

}  // namespace pyserve
