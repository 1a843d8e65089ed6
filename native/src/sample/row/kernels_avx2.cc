// Compiled with -mavx2 -mfma. 8 logits at a time; a short rest goes one by one.

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/simd_avx2.h"
#include "sample/row/kernels_simd.h"

namespace pyserve {
namespace {

constexpr size_t kLanes = 8;
constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

bool block_max(const float* logits, size_t n, float* max) {
  __m256 nan = _mm256_setzero_ps();
  bool has_nan = false;
  for (size_t begin = 0; begin < n; begin += kBlock) {
    const size_t end = std::min(begin + kBlock, n);
    __m256 best = _mm256_set1_ps(kMinusInfinity);
    size_t i = begin;
    for (; i + kLanes <= end; i += kLanes) {
      const __m256 x = _mm256_loadu_ps(logits + i);
      nan = _mm256_or_ps(nan, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
      best = _mm256_max_ps(best, x);
    }
    float top = Avx2::reduce_max(best);
    for (; i < end; ++i) {
      has_nan |= std::isnan(logits[i]);
      top = std::max(top, logits[i]);
    }
    max[begin / kBlock] = top;
  }
  return !has_nan && _mm256_movemask_ps(nan) == 0;
}

void exp_values(const float* logits, size_t n, float scale, float max, float* out) {
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const __m256 y = _mm256_sub_ps(_mm256_loadu_ps(logits + i), _mm256_set1_ps(max));
    _mm256_storeu_ps(out + i, Avx2::exp(_mm256_mul_ps(y, _mm256_set1_ps(scale))));
  }
  for (; i < n; ++i) out[i] = std::exp((logits[i] - max) * scale);
}

void block_exp_sum(const float* logits, size_t n, float scale, const float* max, float* sum) {
  for (size_t begin = 0; begin < n; begin += kBlock) {
    const size_t b = begin / kBlock;
    sum[b] = 0;
    if (max[b] == kMinusInfinity) continue;
    const size_t end = std::min(begin + kBlock, n);
    const __m256 top = _mm256_set1_ps(max[b]);
    __m256 total = _mm256_setzero_ps();
    size_t i = begin;
    for (; i + kLanes <= end; i += kLanes) {
      const __m256 y = _mm256_sub_ps(_mm256_loadu_ps(logits + i), top);
      total = _mm256_add_ps(total, Avx2::exp(_mm256_mul_ps(y, _mm256_set1_ps(scale))));
    }
    sum[b] = Avx2::reduce_add(total);
    for (; i < end; ++i) sum[b] += std::exp((logits[i] - max[b]) * scale);
  }
}

size_t collect(const float* logits, size_t n, float threshold, int32_t base, int32_t* ids,
               float* values) {
  const __m256 limit = _mm256_set1_ps(threshold);
  size_t n_found = 0;
  const auto take = [&](size_t i) {
    ids[n_found] = base + static_cast<int32_t>(i);
    values[n_found++] = logits[i];
  };
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const __m256 hit = _mm256_cmp_ps(_mm256_loadu_ps(logits + i), limit, _CMP_GE_OQ);
    auto bits = static_cast<unsigned>(_mm256_movemask_ps(hit));
    for (; bits != 0; bits &= bits - 1) take(i + static_cast<size_t>(__builtin_ctz(bits)));
  }
  for (; i < n; ++i) {
    if (logits[i] >= threshold) take(i);
  }
  return n_found;
}

}  // namespace

const RowKernels kAvx2RowKernels{"avx2", block_max, block_exp_sum, exp_values, collect};

}  // namespace pyserve
