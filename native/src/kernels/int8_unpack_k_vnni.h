// Types whose blocks hold 256 weights.
// Include only from files compiled for AVX-512 with VNNI.
#pragma once

#include "kernels/int8_unpack_vnni.h"

namespace pyserve {

// The 6-bit scales and offsets of 8 blocks, from 12 bytes of each row: three vectors of 4 bytes.
struct SixBitPairs {
  SixBitPairs(__m512i first4, __m512i middle4, __m512i last4)
      : first(first4), middle(middle4), last(last4) {}

  __m512 scale(int b) const {
    return b < 4 ? six(first, 8 * b) : four_and_two(8 * (b - 4), first, b);
  }
  __m512 offset(int b) const {
    return b < 4 ? six(middle, 8 * b) : four_and_two(8 * (b - 4) + 4, middle, b);
  }

 private:
  static __m512i shifted(__m512i x, int n_bits) {
    return _mm512_srl_epi32(x, _mm_cvtsi32_si128(n_bits));
  }
  static __m512 six(__m512i x, int at) {
    return _mm512_cvtepi32_ps(_mm512_and_si512(shifted(x, at), _mm512_set1_epi32(0x3F)));
  }
  __m512 four_and_two(int at, __m512i top, int b) const {
    const __m512i low = _mm512_and_si512(shifted(last, at), _mm512_set1_epi32(0x0F));
    const __m512i high = _mm512_and_si512(shifted(top, 8 * (b - 4) + 2), _mm512_set1_epi32(0x30));
    return _mm512_cvtepi32_ps(_mm512_or_si512(low, high));
  }

  __m512i first;
  __m512i middle;
  __m512i last;
};

// Q4_K, Q5_K: d, dmin (16 bit), 12 bytes of scales, fifth bits (32 bytes, bit b of byte i for
// weight i of block b, Q5_K only), 128 bytes: 32 of them hold one block below and the next above.
template <bool kWithFifthBit>
struct KNibbles {
  static constexpr bool kHasOffset = true;
  static constexpr int kZero = 0;
  static constexpr int kGroups = 1;
  static constexpr size_t kFifthBits = 16;
  static constexpr size_t kNibbles = kFifthBits + (kWithFifthBit ? 32 : 0);
  static constexpr size_t kBlockBytes = kNibbles + 128;
  static constexpr int kBlockWeights = 256;
  static constexpr int kRowsTogether = 1;

  template <typename Use>
  static void for_each_block(const char* const* rows, size_t at, int n_blocks, Use use) {
    __m512i head[4];  // d and dmin, then the scales
    load_quads(rows, at, head);
    const SixBitPairs pairs(head[1], head[2], head[3]);
    const __m512 d = floats_of_low_halves(head[0]);
    const __m512 minus_dmin = Avx512::sub(Avx512::zero(), floats_of_high_halves(head[0]));
    __m512i fifth[kQuads];
    if constexpr (kWithFifthBit) {
      load_quads(rows, at + kFifthBits, fifth);
      load_quads(rows, at + kFifthBits + 16, fifth + 4);
    }
    for (int b = 0; b < n_blocks; b += 2) {
      UnpackedBlock below;
      UnpackedBlock above;
      load_quads(rows, at + kNibbles + b * 16, below.weights);
      load_quads(rows, at + kNibbles + b * 16 + 16, below.weights + 4);
      for (int j = 0; j < kQuads; ++j) {
        above.weights[j] = high_nibbles(below.weights[j]);
        below.weights[j] = low_nibbles(below.weights[j]);
      }
      if constexpr (kWithFifthBit) {
        add_fifth(fifth, b, below.weights);
        add_fifth(fifth, b + 1, above.weights);
      }
      below.scale[0] = Avx512::mul(d, pairs.scale(b));
      above.scale[0] = Avx512::mul(d, pairs.scale(b + 1));
      below.offset = Avx512::mul(minus_dmin, pairs.offset(b));
      above.offset = Avx512::mul(minus_dmin, pairs.offset(b + 1));
      use(b, below);
      use(b + 1, above);
    }
  }

  // Bit b of each byte goes to bit 4 of the weight.
  [[gnu::always_inline]] static void add_fifth(const __m512i* bits, int b, __m512i* weights) {
    for (int j = 0; j < kQuads; ++j) {
      const __m512i moved = b < 4 ? _mm512_sll_epi16(bits[j], _mm_cvtsi32_si128(4 - b))
                                  : _mm512_srl_epi16(bits[j], _mm_cvtsi32_si128(b - 4));
      weights[j] = _mm512_or_si512(weights[j], _mm512_and_si512(moved, bytes_of(0x10)));
    }
  }
};

// Q6_K: for each half of 128: 64 bytes of low nibbles, 32 of upper bits; after all of these
// 16 signed bytes of scales, one for 16 weights, and d (16 bit).
struct SixBits {
  static constexpr bool kHasOffset = false;
  static constexpr int kZero = 32;
  static constexpr int kGroups = 2;
  static constexpr size_t kUpper = 128;
  static constexpr size_t kScales = 192;
  static constexpr size_t kBlockBytes = 210;
  static constexpr int kBlockWeights = 256;
  static constexpr int kRowsTogether = 1;

  template <typename Use>
  static void for_each_block(const char* const* rows, size_t at, int n_blocks, Use use) {
    __m512i scales[4];
    __m512i tail[4];
    load_quads(rows, at + kScales, scales);
    load_quads(rows, at + kBlockBytes - 16, tail);
    const __m512 row_scale = floats_of_high_halves(tail[3]);
    for (int b = 0; b < n_blocks; b += 4) {
      UnpackedBlock out[4];
      unpack_four(rows, at + b * 16, at + kUpper + b * 8, out);
      for (int i = 0; i < 4; ++i) {
        const int s = 2 * (b + i);
        out[i].scale[0] = Avx512::mul(row_scale, signed_byte(scales[s / 4], s % 4));
        out[i].scale[1] = Avx512::mul(row_scale, signed_byte(scales[s / 4], s % 4 + 1));
        use(b + i, out[i]);
      }
    }
  }

  static __m512 signed_byte(__m512i x, int byte) {
    const __m512i up = _mm512_sll_epi32(x, _mm_cvtsi32_si128(24 - 8 * byte));
    return _mm512_cvtepi32_ps(_mm512_srai_epi32(up, 24));
  }

  static __m512i with_upper(__m512i low, __m512i bits) {
    return _mm512_or_si512(low, _mm512_and_si512(bits, bytes_of(0x30)));
  }

  [[gnu::always_inline]] static void unpack_four(const char* const* rows, size_t lower_at,
                                                 size_t upper_at, UnpackedBlock* out) {
    for (int half = 0; half < 2; ++half) {  // of the 32 bytes
      __m512i lower[2][4];
      __m512i upper[4];
      load_quads(rows, lower_at + half * 16, lower[0]);
      load_quads(rows, lower_at + half * 16 + 32, lower[1]);
      load_quads(rows, upper_at + half * 16, upper);
      for (int j = 0; j < 4; ++j) {
        const int quad = half * 4 + j;
        const __m512i bits = upper[j];
        out[0].weights[quad] = with_upper(low_nibbles(lower[0][j]), _mm512_slli_epi16(bits, 4));
        out[1].weights[quad] = with_upper(low_nibbles(lower[1][j]), _mm512_slli_epi16(bits, 2));
        out[2].weights[quad] = with_upper(high_nibbles(lower[0][j]), bits);
        out[3].weights[quad] = with_upper(high_nibbles(lower[1][j]), _mm512_srli_epi16(bits, 2));
      }
    }
  }
};

}  // namespace pyserve
