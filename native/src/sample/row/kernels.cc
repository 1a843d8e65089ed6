#include "sample/row/kernels.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "sample/row/kernels_simd.h"

namespace pyserve {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

bool block_max(const float* logits, size_t n, float* max) {
  bool is_number = true;
  for (size_t begin = 0; begin < n; begin += kBlock) {
    const size_t end = std::min(begin + kBlock, n);
    float best = kMinusInfinity;
    for (size_t i = begin; i < end; ++i) {
      is_number &= !std::isnan(logits[i]);
      best = std::max(best, logits[i]);
    }
    max[begin / kBlock] = best;
  }
  return is_number;
}

void exp_values(const float* logits, size_t n, float scale, float max, float* out) {
  for (size_t i = 0; i < n; ++i) out[i] = std::exp((logits[i] - max) * scale);
}

void block_exp_sum(const float* logits, size_t n, float scale, const float* max, float* sum) {
  for (size_t begin = 0; begin < n; begin += kBlock) {
    const size_t b = begin / kBlock;
    sum[b] = 0;
    if (max[b] == kMinusInfinity) continue;
    const size_t end = std::min(begin + kBlock, n);
    for (size_t i = begin; i < end; ++i) sum[b] += std::exp((logits[i] - max[b]) * scale);
  }
}

size_t collect(const float* logits, size_t n, float threshold, int32_t base, int32_t* ids,
               float* values) {
  size_t n_found = 0;
  for (size_t i = 0; i < n; ++i) {
    if (logits[i] < threshold) continue;
    ids[n_found] = base + static_cast<int32_t>(i);
    values[n_found++] = logits[i];
  }
  return n_found;
}

constexpr RowKernels kPortable{"portable", block_max, block_exp_sum, exp_values, collect};

}  // namespace

const RowKernels& row_kernels(Rung rung) {
#ifdef PYSERVE_X86_KERNELS
  if (rung >= Rung::kAvx512Bw) return kAvx512RowKernels;
  if (rung >= Rung::kAvx2) return kAvx2RowKernels;
#endif
#ifdef PYSERVE_ARM_KERNELS
  if (rung != Rung::kStock) return kNeonRowKernels;
#endif
  static_cast<void>(rung);
  return kPortable;
}

}  // namespace pyserve
