// AVX2 helpers. Include only from files compiled with -mavx2 -mfma -mf16c.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <initializer_list>

namespace pyserve {

struct Avx2 {
  using Vec = __m256;
  static constexpr int kLanes = 8;
  static constexpr int kRegisters = 16;

  static Vec zero() { return _mm256_setzero_ps(); }
  static Vec set1(float x) { return _mm256_set1_ps(x); }
  static Vec load(const float* p) { return _mm256_loadu_ps(p); }
  static Vec load_f16(const uint16_t* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static Vec set1_f16(const uint16_t* p) {
    return _mm256_cvtph_ps(_mm_set1_epi16(static_cast<int16_t>(*p)));
  }
  static Vec load_bf16(const uint16_t* p) {
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
  }
  static Vec load_i8(const int8_t* p) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
  }
  // Four bits of each byte, from bit `shift` on.
  static Vec load_u4(const uint8_t* p, int shift) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
    const __m256i wide = _mm256_srl_epi32(_mm256_cvtepu8_epi32(bytes), _mm_cvtsi32_si128(shift));
    return _mm256_cvtepi32_ps(_mm256_and_si256(wide, _mm256_set1_epi32(15)));
  }
  static void store(float* p, Vec x) { _mm256_storeu_ps(p, x); }
  static Vec add(Vec a, Vec b) { return _mm256_add_ps(a, b); }
  static Vec sub(Vec a, Vec b) { return _mm256_sub_ps(a, b); }
  static Vec mul(Vec a, Vec b) { return _mm256_mul_ps(a, b); }
  static Vec div(Vec a, Vec b) { return _mm256_div_ps(a, b); }
  static Vec max(Vec a, Vec b) { return _mm256_max_ps(a, b); }
  static Vec fmadd(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }

  static float reduce_add(Vec x) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
  }
  static float reduce_max(Vec x) {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
  }

  // exp(x) for x <= 0, relative error below 1e-6; 0 below -87. 2^n * 2^f with a polynomial for 2^f.
  static Vec exp(Vec x) {
    const Vec n = _mm256_round_ps(mul(x, set1(1.44269504088896341F)),
                                  _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    // x - n ln 2, in two parts
    const Vec f =
        _mm256_fnmadd_ps(n, set1(-2.12194440e-4F), _mm256_fnmadd_ps(n, set1(0.693359375F), x));
    Vec p = set1(1.0F / 720.0F);
    for (const float c : {1.0F / 120.0F, 1.0F / 24.0F, 1.0F / 6.0F, 0.5F, 1.0F, 1.0F}) {
      p = fmadd(p, f, set1(c));
    }
    // 2^n by its exponent bits; n >= -126 where the result is kept.
    const __m256i bits =
        _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    const Vec is_kept = _mm256_cmp_ps(x, set1(-87.0F), _CMP_GE_OQ);
    return _mm256_and_ps(is_kept, mul(p, _mm256_castsi256_ps(bits)));
  }

  // Lanes in the order in which reduce_add_all puts them together, two by two.
  static constexpr int kSumOrder[] = {0, 1, 2, 3, 4, 5, 6, 7};

  // Lane j of x[i] becomes lane i of x[j], for i, j < 8.
  static void transpose(Vec* x) {
    Vec a[kLanes];  // a[4i + j]: of x[4i .. 4i+3], column j of each 128-bit lane
    for (int i = 0; i < kLanes; i += 4) {
      const __m256d lo01 = _mm256_castps_pd(_mm256_unpacklo_ps(x[i], x[i + 1]));
      const __m256d hi01 = _mm256_castps_pd(_mm256_unpackhi_ps(x[i], x[i + 1]));
      const __m256d lo23 = _mm256_castps_pd(_mm256_unpacklo_ps(x[i + 2], x[i + 3]));
      const __m256d hi23 = _mm256_castps_pd(_mm256_unpackhi_ps(x[i + 2], x[i + 3]));
      a[i] = _mm256_castpd_ps(_mm256_unpacklo_pd(lo01, lo23));
      a[i + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(lo01, lo23));
      a[i + 2] = _mm256_castpd_ps(_mm256_unpacklo_pd(hi01, hi23));
      a[i + 3] = _mm256_castpd_ps(_mm256_unpackhi_pd(hi01, hi23));
    }
    for (int j = 0; j < 4; ++j) {
      x[j] = _mm256_permute2f128_ps(a[j], a[4 + j], 0x20);
      x[4 + j] = _mm256_permute2f128_ps(a[j], a[4 + j], 0x31);
    }
  }

  // sums[i] = sum of the lanes of x[i], for i < 8.
  static Vec reduce_add_all(const Vec* x) {
    const Vec a = _mm256_hadd_ps(_mm256_hadd_ps(x[0], x[1]), _mm256_hadd_ps(x[2], x[3]));
    const Vec b = _mm256_hadd_ps(_mm256_hadd_ps(x[4], x[5]), _mm256_hadd_ps(x[6], x[7]));
    return add(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
  }
};

}  // namespace pyserve
