// Compiled with -mavx512f -mavx512dq. 16 logits at a time.

#include <immintrin.h>

#include <algorithm>
#include <limits>

#include "base/simd_avx512.h"
#include "sample/row/kernels_simd.h"

namespace pyserve {
namespace {

constexpr size_t kLanes = 16;
constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

__mmask16 tail_mask(size_t n_left) {
  return n_left >= kLanes ? 0xFFFF : static_cast<__mmask16>((1U << n_left) - 1);
}

bool block_max(const float* logits, size_t n, float* max) {
  __mmask16 nan = 0;
  for (size_t begin = 0; begin < n; begin += kBlock) {
    const size_t end = std::min(begin + kBlock, n);
    __m512 best = _mm512_set1_ps(kMinusInfinity);
    for (size_t i = begin; i < end; i += kLanes) {
      const __mmask16 mask = tail_mask(end - i);
      const __m512 x = _mm512_mask_loadu_ps(_mm512_set1_ps(kMinusInfinity), mask, logits + i);
      nan |= _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
      best = _mm512_max_ps(best, x);
    }
    max[begin / kBlock] = _mm512_reduce_max_ps(best);
  }
  return nan == 0;
}

void exp_values(const float* logits, size_t n, float scale, float max, float* out) {
  for (size_t i = 0; i < n; i += kLanes) {
    const __mmask16 mask = tail_mask(n - i);
    const __m512 x = _mm512_maskz_loadu_ps(mask, logits + i);
    const __m512 y = _mm512_mul_ps(_mm512_sub_ps(x, _mm512_set1_ps(max)), _mm512_set1_ps(scale));
    _mm512_mask_storeu_ps(out + i, mask, Avx512::exp(y));
  }
}

void block_exp_sum(const float* logits, size_t n, float scale, const float* max, float* sum) {
  for (size_t begin = 0; begin < n; begin += kBlock) {
    const size_t b = begin / kBlock;
    sum[b] = 0;
    if (max[b] == kMinusInfinity) continue;
    const size_t end = std::min(begin + kBlock, n);
    const __m512 top = _mm512_set1_ps(max[b]);
    __m512 total = _mm512_setzero_ps();
    for (size_t i = begin; i < end; i += kLanes) {
      const __mmask16 mask = tail_mask(end - i);
      const __m512 x = _mm512_mask_loadu_ps(_mm512_set1_ps(kMinusInfinity), mask, logits + i);
      total = _mm512_add_ps(
          total, Avx512::exp(_mm512_mul_ps(_mm512_sub_ps(x, top), _mm512_set1_ps(scale))));
    }
    sum[b] = _mm512_reduce_add_ps(total);
  }
}

size_t collect(const float* logits, size_t n, float threshold, int32_t base, int32_t* ids,
               float* values) {
  const __m512 limit = _mm512_set1_ps(threshold);
  const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  size_t n_found = 0;
  for (size_t i = 0; i < n; i += kLanes) {
    const __mmask16 mask = tail_mask(n - i);
    const __m512 x = _mm512_maskz_loadu_ps(mask, logits + i);
    const __mmask16 hit = _mm512_mask_cmp_ps_mask(mask, x, limit, _CMP_GE_OQ);
    if (hit == 0) continue;
    const __m512i id = _mm512_add_epi32(_mm512_set1_epi32(base + static_cast<int32_t>(i)), lane);
    _mm512_mask_compressstoreu_epi32(ids + n_found, hit, id);
    _mm512_mask_compressstoreu_ps(values + n_found, hit, x);
    n_found += static_cast<size_t>(__builtin_popcount(hit));
  }
  return n_found;
}

}  // namespace

const RowKernels kAvx512RowKernels{"avx512", block_max, block_exp_sum, exp_values, collect};

}  // namespace pyserve
