// AVX-512 helpers. Include only from files compiled with -mavx512f -mavx512dq.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <initializer_list>

namespace pyserve {

struct Avx512 {
  using Vec = __m512;
  static constexpr int kLanes = 16;
  static constexpr int kRegisters = 32;

  static Vec zero() { return _mm512_setzero_ps(); }
  static Vec set1(float x) { return _mm512_set1_ps(x); }
  static Vec load(const float* p) { return _mm512_loadu_ps(p); }
  static Vec load_f16(const uint16_t* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static Vec set1_f16(const uint16_t* p) {
    return _mm512_cvtph_ps(_mm256_set1_epi16(static_cast<int16_t>(*p)));
  }
  static Vec load_bf16(const uint16_t* p) {
    const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
  }
  static Vec load_i8(const int8_t* p) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
  }
  // Four bits of each byte, from bit `shift` on.
  static Vec load_u4(const uint8_t* p, int shift) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m512i wide = _mm512_srl_epi32(_mm512_cvtepu8_epi32(bytes), _mm_cvtsi32_si128(shift));
    return _mm512_cvtepi32_ps(_mm512_and_si512(wide, _mm512_set1_epi32(15)));
  }
  static void store(float* p, Vec x) { _mm512_storeu_ps(p, x); }
  static Vec add(Vec a, Vec b) { return _mm512_add_ps(a, b); }
  static Vec sub(Vec a, Vec b) { return _mm512_sub_ps(a, b); }
  static Vec mul(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
  static Vec div(Vec a, Vec b) { return _mm512_div_ps(a, b); }
  static Vec max(Vec a, Vec b) { return _mm512_max_ps(a, b); }
  static Vec fmadd(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
  static float reduce_add(Vec x) { return _mm512_reduce_add_ps(x); }
  static float reduce_max(Vec x) { return _mm512_reduce_max_ps(x); }

  // exp(x) for x <= 0, relative error below 1e-6; 0 below -87. 2^n * 2^f with a polynomial for 2^f.
  static Vec exp(Vec x) {
    const Vec n = _mm512_roundscale_ps(mul(x, set1(1.44269504088896341F)),
                                       _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    // x - n ln 2, in two parts
    const Vec f =
        _mm512_fnmadd_ps(n, set1(-2.12194440e-4F), _mm512_fnmadd_ps(n, set1(0.693359375F), x));
    Vec p = set1(1.0F / 720.0F);
    for (const float c : {1.0F / 120.0F, 1.0F / 24.0F, 1.0F / 6.0F, 0.5F, 1.0F, 1.0F}) {
      p = fmadd(p, f, set1(c));
    }
    const __mmask16 is_tiny = _mm512_cmp_ps_mask(x, set1(-87.0F), _CMP_LT_OQ);
    return _mm512_mask_blend_ps(is_tiny, _mm512_scalef_ps(p, n), zero());
  }

  // Lanes in the order in which reduce_add_all puts them together, two by two.
  static constexpr int kSumOrder[] = {0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15};

  // Lane j of x[i] becomes lane i of x[j], for i, j < 16.
  static void transpose(Vec* x) {
    Vec a[kLanes];  // a[4i + j]: of x[4i .. 4i+3], column j of each 128-bit lane
    for (int i = 0; i < kLanes; i += 4) {
      const __m512d lo01 = _mm512_castps_pd(_mm512_unpacklo_ps(x[i], x[i + 1]));
      const __m512d hi01 = _mm512_castps_pd(_mm512_unpackhi_ps(x[i], x[i + 1]));
      const __m512d lo23 = _mm512_castps_pd(_mm512_unpacklo_ps(x[i + 2], x[i + 3]));
      const __m512d hi23 = _mm512_castps_pd(_mm512_unpackhi_ps(x[i + 2], x[i + 3]));
      a[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(lo01, lo23));
      a[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(lo01, lo23));
      a[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(hi01, hi23));
      a[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(hi01, hi23));
    }
    for (int j = 0; j < 4; ++j) {
      const Vec even01 = _mm512_shuffle_f32x4(a[j], a[4 + j], 0x88);
      const Vec odd01 = _mm512_shuffle_f32x4(a[j], a[4 + j], 0xDD);
      const Vec even23 = _mm512_shuffle_f32x4(a[8 + j], a[12 + j], 0x88);
      const Vec odd23 = _mm512_shuffle_f32x4(a[8 + j], a[12 + j], 0xDD);
      x[j] = _mm512_shuffle_f32x4(even01, even23, 0x88);
      x[4 + j] = _mm512_shuffle_f32x4(odd01, odd23, 0x88);
      x[8 + j] = _mm512_shuffle_f32x4(even01, even23, 0xDD);
      x[12 + j] = _mm512_shuffle_f32x4(odd01, odd23, 0xDD);
    }
  }

  // sums[i] = sum of the lanes of x[i], for i < 16.
  static Vec reduce_add_all(const Vec* x) {
    Vec a[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      a[i] = add(_mm512_unpacklo_ps(x[2 * i], x[2 * i + 1]),
                 _mm512_unpackhi_ps(x[2 * i], x[2 * i + 1]));
    }
    Vec b[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const __m512d lo = _mm512_castps_pd(a[2 * i]);
      const __m512d hi = _mm512_castps_pd(a[2 * i + 1]);
      b[i] = add(_mm512_castpd_ps(_mm512_unpacklo_pd(lo, hi)),
                 _mm512_castpd_ps(_mm512_unpackhi_pd(lo, hi)));
    }
    // b[i]: in each 128-bit lane the partial sums of x[4i .. 4i+3].
    const Vec c0 =
        add(_mm512_shuffle_f32x4(b[0], b[1], 0x88), _mm512_shuffle_f32x4(b[0], b[1], 0xDD));
    const Vec c1 =
        add(_mm512_shuffle_f32x4(b[2], b[3], 0x88), _mm512_shuffle_f32x4(b[2], b[3], 0xDD));
    return add(_mm512_shuffle_f32x4(c0, c1, 0x88), _mm512_shuffle_f32x4(c0, c1, 0xDD));
  }
};

}  // namespace pyserve
