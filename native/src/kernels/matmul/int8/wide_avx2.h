// Lanes of 4 bytes in 256-bit vectors, sixteen in two and eight in one: what `Wide512` has, for
// CPUs with AVX2. Include only from files compiled with -mavx2 -mfma -mf16c.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "base/simd_avx2.h"

namespace pyserve {

#define PYSERVE_WIDE [[gnu::always_inline]] static inline

// Eight lanes of 4 bytes in one vector: half of the rows.
struct Half256 {
  using Ints = __m256i;
  using Floats = __m256;
  using Part = __m256i;
  using Simd = Avx2;
  static constexpr int kParts = 1;
  static constexpr bool kIsDotSigned = false;

  PYSERVE_WIDE Part part(Ints x, int /*p*/) { return x; }
  PYSERVE_WIDE __m256 float_part(Floats x, int /*p*/) { return x; }
  PYSERVE_WIDE Part part_of(int32_t x) { return _mm256_set1_epi32(x); }
  PYSERVE_WIDE Part load_part(const int32_t* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }
  PYSERVE_WIDE __m256 part_floats(Part x) { return _mm256_cvtepi32_ps(x); }
  PYSERVE_WIDE Part add_pairs(Part sums, Part a, Part b) {
    return _mm256_add_epi32(sums, _mm256_madd_epi16(a, b));
  }
  PYSERVE_WIDE Part add_scaled(Part sums, Part x, Part scale) {
    return _mm256_add_epi32(sums, _mm256_mullo_epi32(x, scale));
  }

  PYSERVE_WIDE Ints bytes_of(int x) { return _mm256_set1_epi8(static_cast<char>(x)); }
  PYSERVE_WIDE Ints ints_of(int32_t x) { return _mm256_set1_epi32(x); }
  // The same 16 bytes in every quarter, from the last 4 to the first.
  PYSERVE_WIDE Ints quarters_of(int d, int c, int b, int a) {
    return _mm256_broadcastsi128_si256(_mm_set_epi32(d, c, b, a));
  }
  PYSERVE_WIDE Ints and_bits(Ints a, Ints b) { return _mm256_and_si256(a, b); }
  PYSERVE_WIDE Ints or_bits(Ints a, Ints b) { return _mm256_or_si256(a, b); }
  PYSERVE_WIDE Ints xor_bits(Ints a, Ints b) { return _mm256_xor_si256(a, b); }
  PYSERVE_WIDE Ints add8(Ints a, Ints b) { return _mm256_add_epi8(a, b); }
  template <int kBits>
  PYSERVE_WIDE Ints shift_right16(Ints x) {
    return _mm256_srli_epi16(x, kBits);
  }
  template <int kBits>
  PYSERVE_WIDE Ints shift_left16(Ints x) {
    return _mm256_slli_epi16(x, kBits);
  }
  PYSERVE_WIDE Ints shift_right16(Ints x, int n) { return _mm256_srli_epi16(x, n); }
  PYSERVE_WIDE Ints shift_left16(Ints x, int n) { return _mm256_slli_epi16(x, n); }
  PYSERVE_WIDE Ints shift_right32(Ints x, int n) { return _mm256_srli_epi32(x, n); }
  PYSERVE_WIDE Ints shift_left32(Ints x, int n) { return _mm256_slli_epi32(x, n); }
  PYSERVE_WIDE Ints shift_right32_signed(Ints x, int n) { return _mm256_srai_epi32(x, n); }
  PYSERVE_WIDE Ints shuffle8(Ints x, Ints from) { return _mm256_shuffle_epi8(x, from); }
  PYSERVE_WIDE Ints low32(Ints a, Ints b) { return _mm256_unpacklo_epi32(a, b); }
  PYSERVE_WIDE Ints high32(Ints a, Ints b) { return _mm256_unpackhi_epi32(a, b); }
  PYSERVE_WIDE Ints low64(Ints a, Ints b) { return _mm256_unpacklo_epi64(a, b); }
  PYSERVE_WIDE Ints high64(Ints a, Ints b) { return _mm256_unpackhi_epi64(a, b); }
  // x + more in the bytes that have `bit`, one in every byte.
  PYSERVE_WIDE Ints add8_where(Ints x, Ints bits, Ints bit, Ints more) {
    const Ints is_set = _mm256_cmpeq_epi8(_mm256_and_si256(bits, bit), bit);
    return add8(x, _mm256_and_si256(is_set, more));
  }

  // 32 bytes.
  PYSERVE_WIDE Ints load(const char* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }
  // 16 bytes of rows[r] and of rows[4 + r].
  PYSERVE_WIDE Ints load_every_fourth(const char* const* rows, size_t at, int r) {
    const auto load = [&](int row) {
      return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[row] + at));
    };
    return _mm256_set_m128i(load(4 + r), load(r));
  }
  PYSERVE_WIDE Floats floats_of(Ints x) { return _mm256_cvtepi32_ps(x); }
  // The 16-bit floats in the lower half of each lane.
  PYSERVE_WIDE Floats floats_of_low_halves(Ints x) {
    const Ints low = _mm256_and_si256(x, _mm256_set1_epi32(0xFFFF));
    const __m128i packed =
        _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
    return _mm256_cvtph_ps(packed);
  }
  PYSERVE_WIDE Floats bits_as_floats(Ints x) { return _mm256_castsi256_ps(x); }
  PYSERVE_WIDE Floats mul(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
  PYSERVE_WIDE Floats minus(Floats x) { return _mm256_sub_ps(_mm256_setzero_ps(), x); }
};

struct Wide256 {
  using Part = __m256i;
  using Simd = Avx2;
  using FloatLanes = Avx2;
  static constexpr int kParts = 2;
  static constexpr bool kIsDotSigned = false;
  static constexpr bool kReadsX8 = true;
  struct Ints {
    __m256i low;
    __m256i high;
  };
  struct Floats {
    __m256 low;
    __m256 high;
  };

  PYSERVE_WIDE void prefetch(const char* from) { _mm_prefetch(from, _MM_HINT_T1); }
  PYSERVE_WIDE Part part(const Ints& x, int p) { return p == 0 ? x.low : x.high; }
  PYSERVE_WIDE __m256 float_part(const Floats& x, int p) { return p == 0 ? x.low : x.high; }

  template <typename Operation>
  PYSERVE_WIDE Ints each(const Ints& x, Operation operation) {
    return {operation(x.low), operation(x.high)};
  }
  template <typename Wide, typename Operation>
  PYSERVE_WIDE Wide both(const Wide& a, const Wide& b, Operation operation) {
    return {operation(a.low, b.low), operation(a.high, b.high)};
  }
  PYSERVE_WIDE Ints twice(__m256i x) { return {x, x}; }
  PYSERVE_WIDE Ints bytes_of(int x) { return twice(Half256::bytes_of(x)); }
  PYSERVE_WIDE Ints ints_of(int32_t x) { return twice(Half256::ints_of(x)); }
  PYSERVE_WIDE Ints quarters_of(int d, int c, int b, int a) {
    return twice(Half256::quarters_of(d, c, b, a));
  }
  PYSERVE_WIDE Ints and_bits(const Ints& a, const Ints& b) {
    return both(a, b, [](__m256i x, __m256i y) { return Half256::and_bits(x, y); });
  }
  PYSERVE_WIDE Ints or_bits(const Ints& a, const Ints& b) {
    return both(a, b, [](__m256i x, __m256i y) { return Half256::or_bits(x, y); });
  }
  PYSERVE_WIDE Ints xor_bits(const Ints& a, const Ints& b) {
    return both(a, b, [](__m256i x, __m256i y) { return Half256::xor_bits(x, y); });
  }
  PYSERVE_WIDE Ints add8(const Ints& a, const Ints& b) {
    return both(a, b, [](__m256i x, __m256i y) { return Half256::add8(x, y); });
  }
  template <int kBits>
  PYSERVE_WIDE Ints shift_right16(const Ints& x) {
    return shift_right16(x, kBits);
  }
  template <int kBits>
  PYSERVE_WIDE Ints shift_left16(const Ints& x) {
    return shift_left16(x, kBits);
  }
  PYSERVE_WIDE Ints shift_right16(const Ints& x, int n) {
    return each(x, [n](__m256i half) { return Half256::shift_right16(half, n); });
  }
  PYSERVE_WIDE Ints shift_left16(const Ints& x, int n) {
    return each(x, [n](__m256i half) { return Half256::shift_left16(half, n); });
  }
  PYSERVE_WIDE Ints shift_right32(const Ints& x, int n) {
    return each(x, [n](__m256i half) { return Half256::shift_right32(half, n); });
  }
  PYSERVE_WIDE Ints shift_left32(const Ints& x, int n) {
    return each(x, [n](__m256i half) { return Half256::shift_left32(half, n); });
  }
  PYSERVE_WIDE Ints shift_right32_signed(const Ints& x, int n) {
    return each(x, [n](__m256i half) { return Half256::shift_right32_signed(half, n); });
  }
  PYSERVE_WIDE Ints sub_halves(const Ints& a, const Ints& b) {
    return both(a, b, [](__m256i x, __m256i y) { return _mm256_sub_epi16(x, y); });
  }
  PYSERVE_WIDE Ints mul_halves(const Ints& a, const Ints& b) {
    return both(a, b, [](__m256i x, __m256i y) { return _mm256_mullo_epi16(x, y); });
  }
  PYSERVE_WIDE Ints mul_bytes(const Ints& a, const Ints& b) {
    return both(a, b, [](__m256i x, __m256i y) { return _mm256_maddubs_epi16(x, y); });
  }
  PYSERVE_WIDE Ints alternate_bytes(const Ints& a, const Ints& b) {
    const __m256i odd = _mm256_set1_epi16(static_cast<int16_t>(0xFF00));
    return both(a, b, [odd](__m256i x, __m256i y) { return _mm256_blendv_epi8(x, y, odd); });
  }
  PYSERVE_WIDE Ints shuffle8(const Ints& x, const Ints& from) {
    return both(x, from, [](__m256i y, __m256i at) { return Half256::shuffle8(y, at); });
  }
  PYSERVE_WIDE Ints low32(const Ints& a, const Ints& b) {
    return both(a, b, [](__m256i x, __m256i y) { return Half256::low32(x, y); });
  }
  PYSERVE_WIDE Ints high32(const Ints& a, const Ints& b) {
    return both(a, b, [](__m256i x, __m256i y) { return Half256::high32(x, y); });
  }
  PYSERVE_WIDE Ints low64(const Ints& a, const Ints& b) {
    return both(a, b, [](__m256i x, __m256i y) { return Half256::low64(x, y); });
  }
  PYSERVE_WIDE Ints high64(const Ints& a, const Ints& b) {
    return both(a, b, [](__m256i x, __m256i y) { return Half256::high64(x, y); });
  }
  PYSERVE_WIDE Ints add8_where(const Ints& x, const Ints& bits, const Ints& bit, const Ints& more) {
    return {Half256::add8_where(x.low, bits.low, bit.low, more.low),
            Half256::add8_where(x.high, bits.high, bit.high, more.high)};
  }

  PYSERVE_WIDE Ints load(const char* from) {
    return {Half256::load(from), Half256::load(from + 32)};
  }
  PYSERVE_WIDE void store(const Ints& x, char* to) {
    auto* at = reinterpret_cast<__m256i*>(to);
    _mm256_storeu_si256(at, x.low);
    _mm256_storeu_si256(at + 1, x.high);
  }
  PYSERVE_WIDE Ints load_every_fourth(const char* const* rows, size_t at, int r) {
    return {Half256::load_every_fourth(rows, at, r), Half256::load_every_fourth(rows + 8, at, r)};
  }
  PYSERVE_WIDE void load_even_odd(const char* first, const char* last, Ints& even, Ints& odd) {
    even = {split64<0x88>(first), split64<0x88>(last)};
    odd = {split64<0xDD>(first), split64<0xDD>(last)};
  }
  PYSERVE_WIDE Floats load_f16(const char* first, const char* last) {
    const auto load = [](const char* from) {
      return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
    };
    return {load(first), load(last)};
  }
  PYSERVE_WIDE Ints ints_of_bytes(uint64_t first, uint64_t last) {
    const auto convert = [](uint64_t bytes) {
      const __m128i x = _mm_cvtsi64_si128(static_cast<long long>(bytes));
      return _mm256_cvtepu8_epi32(x);
    };
    return {convert(first), convert(last)};
  }
  PYSERVE_WIDE Floats floats_of(const Ints& x) {
    return {Half256::floats_of(x.low), Half256::floats_of(x.high)};
  }
  PYSERVE_WIDE Floats floats_of_low_halves(const Ints& x) {
    const __m256i is_low = _mm256_set1_epi32(0xFFFF);
    // Packing keeps the quarters apart: low, high, low, high.
    const __m256i packed = _mm256_permute4x64_epi64(
        _mm256_packus_epi32(_mm256_and_si256(x.low, is_low), _mm256_and_si256(x.high, is_low)),
        0xD8);
    return {_mm256_cvtph_ps(_mm256_castsi256_si128(packed)),
            _mm256_cvtph_ps(_mm256_extracti128_si256(packed, 1))};
  }
  PYSERVE_WIDE Floats bits_as_floats(const Ints& x) {
    return {Half256::bits_as_floats(x.low), Half256::bits_as_floats(x.high)};
  }
  PYSERVE_WIDE Floats mul(const Floats& a, const Floats& b) {
    return both(a, b, [](__m256 x, __m256 y) { return Half256::mul(x, y); });
  }
  PYSERVE_WIDE Floats minus(const Floats& x) {
    return {Half256::minus(x.low), Half256::minus(x.high)};
  }

  PYSERVE_WIDE float top_of(const float* x, int n) {
    const __m256 sign = _mm256_set1_ps(-0.0F);
    __m256 top = _mm256_setzero_ps();
    for (int i = 0; i < n; i += 8) {
      top = _mm256_max_ps(top, _mm256_andnot_ps(sign, _mm256_loadu_ps(x + i)));
    }
    return Avx2::reduce_max(top);
  }
  PYSERVE_WIDE void round32(const float* x, float inverse, int8_t* q, int32_t* sums) {
    const __m256 scale = _mm256_set1_ps(inverse);
    __m256i rounded[4];
    for (int i = 0; i < 4; ++i) {
      rounded[i] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8 * i), scale));
    }
    const __m256i first = _mm256_packs_epi32(rounded[0], rounded[1]);
    const __m256i last = _mm256_packs_epi32(rounded[2], rounded[3]);
    const __m256i in_order = _mm256_set_epi32(7, 3, 6, 2, 5, 1, 4, 0);
    const __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(first, last), in_order);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(q), bytes);
    sums[0] = reduce_add32(_mm256_add_epi32(rounded[0], rounded[1]));
    sums[1] = reduce_add32(_mm256_add_epi32(rounded[2], rounded[3]));
  }

  PYSERVE_WIDE Part part_of(int32_t x) { return Half256::part_of(x); }
  PYSERVE_WIDE Part load_part(const int32_t* from) { return Half256::load_part(from); }
  PYSERVE_WIDE __m256 part_floats(Part x) { return Half256::part_floats(x); }
  template <int kBits>
  PYSERVE_WIDE Part add_shifted(Part a, Part b) {
    return _mm256_add_epi32(a, _mm256_slli_epi32(b, kBits));
  }
  PYSERVE_WIDE Part add_pairs(Part sums, Part a, Part b) { return Half256::add_pairs(sums, a, b); }
  PYSERVE_WIDE Part add_scaled(Part sums, Part x, Part scale) {
    return Half256::add_scaled(sums, x, scale);
  }

 private:
  // Every other 4 of 64 bytes.
  template <int kSelect>
  PYSERVE_WIDE __m256i split64(const char* from) {
    const auto load = [&](int i) {
      return _mm256_castsi256_ps(
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + 32 * i)));
    };
    const __m256i mixed = _mm256_castps_si256(_mm256_shuffle_ps(load(0), load(1), kSelect));
    return _mm256_permute4x64_epi64(mixed, 0xD8);
  }
  PYSERVE_WIDE int32_t reduce_add32(__m256i x) {
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4E));
    return _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xB1)));
  }
};

}  // namespace pyserve
