// Sixteen lanes of 4 bytes in one 512-bit vector, for the integer matrix product.
// Include only from files compiled with -mavx512f -mavx512dq -mavx512bw -mavx512vl.
//
// Everything is inlined by force: the same function compiled with other flags must not stand in.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "base/simd_avx512.h"

namespace pyserve {

#define PYSERVE_WIDE [[gnu::always_inline]] static inline

struct Wide512 {
  using Ints = __m512i;
  using Floats = __m512;
  // A vector of the CPU: Ints and Floats have kParts of them.
  using Part = __m512i;
  using Simd = Avx512;
  using FloatLanes = Avx512;
  static constexpr int kParts = 1;
  static constexpr bool kIsDotSigned = false;
  static constexpr bool kReadsX8 = true;

  // Into the second cache.
  PYSERVE_WIDE void prefetch(const char* from) { _mm_prefetch(from, _MM_HINT_T1); }
  PYSERVE_WIDE Part part(Ints x, int /*p*/) { return x; }
  PYSERVE_WIDE __m512 float_part(Floats x, int /*p*/) { return x; }

  PYSERVE_WIDE Ints bytes_of(int x) { return _mm512_set1_epi8(static_cast<char>(x)); }
  PYSERVE_WIDE Ints ints_of(int32_t x) { return _mm512_set1_epi32(x); }
  // The same 16 bytes in every quarter, from the last 4 to the first.
  PYSERVE_WIDE Ints quarters_of(int d, int c, int b, int a) {
    return _mm512_broadcast_i32x4(_mm_set_epi32(d, c, b, a));
  }
  PYSERVE_WIDE Ints and_bits(Ints a, Ints b) { return _mm512_and_si512(a, b); }
  PYSERVE_WIDE Ints or_bits(Ints a, Ints b) { return _mm512_or_si512(a, b); }
  PYSERVE_WIDE Ints xor_bits(Ints a, Ints b) { return _mm512_xor_si512(a, b); }
  PYSERVE_WIDE Ints add8(Ints a, Ints b) { return _mm512_add_epi8(a, b); }
  template <int kBits>
  PYSERVE_WIDE Ints shift_right16(Ints x) {
    return _mm512_srli_epi16(x, kBits);
  }
  template <int kBits>
  PYSERVE_WIDE Ints shift_left16(Ints x) {
    return _mm512_slli_epi16(x, kBits);
  }
  PYSERVE_WIDE Ints shift_right16(Ints x, int n) {
    return _mm512_srl_epi16(x, _mm_cvtsi32_si128(n));
  }
  PYSERVE_WIDE Ints shift_left16(Ints x, int n) {
    return _mm512_sll_epi16(x, _mm_cvtsi32_si128(n));
  }
  PYSERVE_WIDE Ints shift_right32(Ints x, int n) {
    return _mm512_srl_epi32(x, _mm_cvtsi32_si128(n));
  }
  PYSERVE_WIDE Ints shift_left32(Ints x, int n) {
    return _mm512_sll_epi32(x, _mm_cvtsi32_si128(n));
  }
  // With the sign.
  PYSERVE_WIDE Ints shift_right32_signed(Ints x, int n) {
    return _mm512_sra_epi32(x, _mm_cvtsi32_si128(n));
  }
  // In 16 bits.
  PYSERVE_WIDE Ints sub_halves(Ints a, Ints b) { return _mm512_sub_epi16(a, b); }
  PYSERVE_WIDE Ints mul_halves(Ints a, Ints b) { return _mm512_mullo_epi16(a, b); }
  // Products of unsigned bytes with signed ones, pairs added up to 16 bits.
  PYSERVE_WIDE Ints mul_bytes(Ints a, Ints b) { return _mm512_maddubs_epi16(a, b); }
  // The even bytes of a and the odd ones of b.
  PYSERVE_WIDE Ints alternate_bytes(Ints a, Ints b) {
    return _mm512_mask_blend_epi8(0xAAAAAAAAAAAAAAAA, a, b);
  }
  PYSERVE_WIDE Ints shuffle8(Ints x, Ints from) { return _mm512_shuffle_epi8(x, from); }
  PYSERVE_WIDE Ints low32(Ints a, Ints b) { return _mm512_unpacklo_epi32(a, b); }
  PYSERVE_WIDE Ints high32(Ints a, Ints b) { return _mm512_unpackhi_epi32(a, b); }
  PYSERVE_WIDE Ints low64(Ints a, Ints b) { return _mm512_unpacklo_epi64(a, b); }
  PYSERVE_WIDE Ints high64(Ints a, Ints b) { return _mm512_unpackhi_epi64(a, b); }
  // x + more in the bytes that have a bit in common with `bit`.
  PYSERVE_WIDE Ints add8_where(Ints x, Ints bits, Ints bit, Ints more) {
    return _mm512_mask_add_epi8(x, _mm512_test_epi8_mask(bits, bit), x, more);
  }

  // 64 bytes.
  PYSERVE_WIDE Ints load(const char* from) { return _mm512_loadu_si512(from); }
  PYSERVE_WIDE void store(Ints x, char* to) { _mm512_storeu_si512(to, x); }
  // 16 bytes of rows[r], rows[4 + r], rows[8 + r] and rows[12 + r].
  PYSERVE_WIDE Ints load_every_fourth(const char* const* rows, size_t at, int r) {
    const auto load = [&](int row) {
      return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[row] + at));
    };
    Ints x = _mm512_castsi128_si512(load(r));
    x = _mm512_inserti32x4(x, load(4 + r), 1);
    x = _mm512_inserti32x4(x, load(8 + r), 2);
    return _mm512_inserti32x4(x, load(12 + r), 3);
  }
  // From 64 bytes of each, the even and the odd 4 bytes.
  PYSERVE_WIDE void load_even_odd(const char* first, const char* last, Ints& even, Ints& odd) {
    const Ints a = _mm512_loadu_si512(first);
    const Ints b = _mm512_loadu_si512(last);
    const Ints of_even =
        _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    even = _mm512_permutex2var_epi32(a, of_even, b);
    odd = _mm512_permutex2var_epi32(a, _mm512_add_epi32(of_even, _mm512_set1_epi32(1)), b);
  }
  // 8 numbers of 16 bits from each.
  PYSERVE_WIDE Floats load_f16(const char* first, const char* last) {
    const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(first));
    const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(last));
    return _mm512_cvtph_ps(_mm256_set_m128i(b, a));
  }
  // 8 unsigned bytes of each.
  PYSERVE_WIDE Ints ints_of_bytes(uint64_t first, uint64_t last) {
    const __m128i a = _mm_cvtsi64_si128(static_cast<long long>(first));
    const __m128i b = _mm_cvtsi64_si128(static_cast<long long>(last));
    return _mm512_cvtepu8_epi32(_mm_unpacklo_epi64(a, b));
  }
  PYSERVE_WIDE Floats floats_of(Ints x) { return _mm512_cvtepi32_ps(x); }
  // The 16-bit floats in the lower half of each lane.
  PYSERVE_WIDE Floats floats_of_low_halves(Ints x) {
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(x));
  }
  PYSERVE_WIDE Floats bits_as_floats(Ints x) { return _mm512_castsi512_ps(x); }
  PYSERVE_WIDE Floats mul(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
  PYSERVE_WIDE Floats minus(Floats x) { return _mm512_sub_ps(_mm512_setzero_ps(), x); }

  // The largest magnitude of n floats, a multiple of 32.
  PYSERVE_WIDE float top_of(const float* x, int n) {
    __m512 top = _mm512_setzero_ps();
    for (int i = 0; i < n; i += 16) top = _mm512_max_ps(top, _mm512_abs_ps(_mm512_loadu_ps(x + i)));
    return _mm512_reduce_max_ps(top);
  }
  // Rounds 32 floats times `inverse` to q, |q| <= 127; the sums of the first and the last 16 q.
  PYSERVE_WIDE void round32(const float* x, float inverse, int8_t* q, int32_t* sums) {
    const __m512 scale = _mm512_set1_ps(inverse);
    const __m512i qlo = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x), scale));
    const __m512i qhi = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + 16), scale));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(q), _mm512_cvtepi32_epi8(qlo));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(q + 16), _mm512_cvtepi32_epi8(qhi));
    sums[0] = _mm512_reduce_add_epi32(qlo);
    sums[1] = _mm512_reduce_add_epi32(qhi);
  }

  PYSERVE_WIDE Part part_of(int32_t x) { return _mm512_set1_epi32(x); }
  PYSERVE_WIDE Part load_part(const int32_t* from) { return _mm512_loadu_si512(from); }
  PYSERVE_WIDE __m512 part_floats(Part x) { return _mm512_cvtepi32_ps(x); }
  // a + (b << kBits).
  template <int kBits>
  PYSERVE_WIDE Part add_shifted(Part a, Part b) {
    return _mm512_add_epi32(a, _mm512_slli_epi32(b, kBits));
  }
  // Products of pairs of 16 bits, added up.
  PYSERVE_WIDE Part add_pairs(Part sums, Part a, Part b) {
    return _mm512_add_epi32(sums, _mm512_madd_epi16(a, b));
  }
  // In 32 bits.
  PYSERVE_WIDE Part add_scaled(Part sums, Part x, Part scale) {
    return _mm512_add_epi32(sums, _mm512_mullo_epi32(x, scale));
  }
};

}  // namespace pyserve
