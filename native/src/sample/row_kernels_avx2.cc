// Compiled with -mavx2 -mfma. 8 logits at a time; a short rest goes one by one.

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "sample/row_kernels_simd.h"

namespace pyserve {
namespace {

constexpr size_t kLanes = 8;
constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

float horizontal_max(__m256 x) {
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  m = _mm_max_ss(m, _mm_movehdup_ps(m));
  return _mm_cvtss_f32(m);
}

float horizontal_sum(__m256 x) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  s = _mm_add_ss(s, _mm_movehdup_ps(s));
  return _mm_cvtss_f32(s);
}

// exp(x) for x <= 0: 2^n * 2^f with a polynomial for 2^f on [-0.5, 0.5].
__m256 exp_ps(__m256 x) {
  const __m256 y = _mm256_mul_ps(x, _mm256_set1_ps(1.44269504088896341F));
  const __m256 n = _mm256_round_ps(y, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m256 f = _mm256_fnmadd_ps(
      n, _mm256_set1_ps(-2.12194440e-4F),
      _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375F), x));  // x - n ln 2, in two parts
  __m256 p = _mm256_set1_ps(1.0F / 720.0F);
  p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(1.0F / 120.0F));
  p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(1.0F / 24.0F));
  p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(1.0F / 6.0F));
  p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(0.5F));
  p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(1.0F));
  p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(1.0F));
  // 2^n by its exponent bits; n >= -126 where the result is kept.
  const __m256i bits =
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  const __m256 is_kept = _mm256_cmp_ps(x, _mm256_set1_ps(-87.0F), _CMP_GE_OQ);
  return _mm256_and_ps(is_kept, _mm256_mul_ps(p, _mm256_castsi256_ps(bits)));
}

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
    float top = horizontal_max(best);
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
    _mm256_storeu_ps(out + i, exp_ps(_mm256_mul_ps(y, _mm256_set1_ps(scale))));
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
      total = _mm256_add_ps(total, exp_ps(_mm256_mul_ps(y, _mm256_set1_ps(scale))));
    }
    sum[b] = horizontal_sum(total);
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
