// Blocks of 16 rows of every quantized type become unsigned bytes with the rows in the lanes.
// Include only from files compiled for AVX-512 with VNNI.
//
// A type says what a weight is worth: scale * (q - kZero) when it lies around zero, or
// scale * q + offset (kHasOffset); how many scales a block of 32 has (kGroups); how many weights
// and bytes a block in memory has, for as many rows as lie in it side by side (kRowsTogether).
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/simd_avx512.h"
#include "kernels/int8_gemm.h"

namespace pyserve {

inline constexpr int kUnpackRows = 16;
inline constexpr int kQuads = kInt8Block / 4;  // groups of 4 weights in a block
inline constexpr int kMaxBlocks = 8;           // unpacked at a time, 4 KiB

// One block of 16 rows. What Type::for_each_block() calls its function with: the block's place
// among those unpacked, and the block.
struct UnpackedBlock {
  __m512i weights[kQuads];  // [quad][row][4]
  __m512 scale[2];          // [group]
  __m512 offset;
};

inline __m512i bytes_of(int x) { return _mm512_set1_epi8(static_cast<char>(x)); }

// quads[j] lane i = the j-th 4 bytes of rows[i], from the 16 bytes at `at` of each row.
[[gnu::always_inline]] inline void load_quads(const char* const* rows, size_t at, __m512i* quads) {
  __m512i four[4];  // row 4g + r in 128-bit lane g of four[r]
  for (int r = 0; r < 4; ++r) {
    const auto load = [&](int g) {
      return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[4 * g + r] + at));
    };
    __m512i x = _mm512_castsi128_si512(load(0));
    x = _mm512_inserti32x4(x, load(1), 1);
    x = _mm512_inserti32x4(x, load(2), 2);
    four[r] = _mm512_inserti32x4(x, load(3), 3);
  }
  const __m512i low01 = _mm512_unpacklo_epi32(four[0], four[1]);
  const __m512i low23 = _mm512_unpacklo_epi32(four[2], four[3]);
  const __m512i high01 = _mm512_unpackhi_epi32(four[0], four[1]);
  const __m512i high23 = _mm512_unpackhi_epi32(four[2], four[3]);
  quads[0] = _mm512_unpacklo_epi64(low01, low23);
  quads[1] = _mm512_unpackhi_epi64(low01, low23);
  quads[2] = _mm512_unpacklo_epi64(high01, high23);
  quads[3] = _mm512_unpackhi_epi64(high01, high23);
}

// The 16-bit floats in the lower, and in the upper, half of each lane.
inline __m512 floats_of_low_halves(__m512i x) { return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(x)); }
inline __m512 floats_of_high_halves(__m512i x) {
  return floats_of_low_halves(_mm512_srli_epi32(x, 16));
}

inline __m512i low_nibbles(__m512i x) { return _mm512_and_si512(x, bytes_of(0x0F)); }
inline __m512i high_nibbles(__m512i x) { return low_nibbles(_mm512_srli_epi16(x, 4)); }

// Adds 16 to the weights of one quad whose bit of `bits` (32 for the block's 32 weights) is set.
template <int kQuad>
__m512i add_fifth_bits(__m512i weights, __m512i bits) {
  const __m512i byte_of_quad =
      _mm512_add_epi8(bytes_of(kQuad / 2),
                      _mm512_broadcast_i32x4(_mm_set_epi32(0x0C0C0C0C, 0x08080808, 0x04040404, 0)));
  const __m512i bit_of_weight = _mm512_set1_epi32(kQuad % 2 == 0 ? 0x08040201 : -0x7FBFDFF0);
  const __m512i four = _mm512_shuffle_epi8(bits, byte_of_quad);
  return _mm512_mask_add_epi8(weights, _mm512_test_epi8_mask(four, bit_of_weight), weights,
                              bytes_of(16));
}

[[gnu::always_inline]] inline void add_fifth_bits_to_all(__m512i* weights, __m512i bits) {
  weights[0] = add_fifth_bits<0>(weights[0], bits);
  weights[1] = add_fifth_bits<1>(weights[1], bits);
  weights[2] = add_fifth_bits<2>(weights[2], bits);
  weights[3] = add_fifth_bits<3>(weights[3], bits);
  weights[4] = add_fifth_bits<4>(weights[4], bits);
  weights[5] = add_fifth_bits<5>(weights[5], bits);
  weights[6] = add_fifth_bits<6>(weights[6], bits);
  weights[7] = add_fifth_bits<7>(weights[7], bits);
}

// 16 bytes; byte j holds weight j below and weight j + 16 above.
[[gnu::always_inline]] inline void split_nibbles(const __m512i* quads, __m512i* weights) {
  for (int j = 0; j < 4; ++j) {
    weights[j] = low_nibbles(quads[j]);
    weights[j + 4] = high_nibbles(quads[j]);
  }
}

// Q4_1, Q5_1: d, m (16 bit), fifth bits (32 bit, Q5_1 only), then 16 bytes of nibbles. All of it
// in groups of 4 bytes, so that a few blocks are read as one row of quads.
template <bool kWithFifthBit>
struct OffsetNibbles {
  static constexpr bool kHasOffset = true;
  static constexpr int kZero = 0;
  static constexpr int kGroups = 1;
  static constexpr size_t kBlockBytes = kWithFifthBit ? 24 : 20;
  static constexpr int kBlockWeights = 32;
  static constexpr int kRowsTogether = 1;
  static constexpr int kBlockQuads = kBlockBytes / 4;
  static constexpr int kBlocksTogether = kWithFifthBit ? 2 : 4;  // a multiple of 16 bytes

  template <typename Use>
  static void for_each_block(const char* const* rows, size_t at, int n_blocks, Use use) {
    int b = 0;
    for (; b + kBlocksTogether <= n_blocks;
         b += kBlocksTogether, at += kBlocksTogether * kBlockBytes) {
      constexpr int kAll = kBlocksTogether * kBlockQuads;
      __m512i quads[kAll];
#pragma GCC unroll 8
      for (int j = 0; j < kAll; j += 4) load_quads(rows, at + 4 * j, quads + j);
#pragma GCC unroll 8
      for (int i = 0; i < kBlocksTogether; ++i) use(b + i, block(quads + i * kBlockQuads));
    }
    for (; b < n_blocks; ++b, at += kBlockBytes) {
      // The last 16 bytes, and the first, which overlap.
      __m512i quads[kBlockQuads + 4];
      __m512i head[4];
      load_quads(rows, at, head);
      load_quads(rows, at + kBlockBytes - 16, quads + kBlockQuads - 4);
      quads[0] = head[0];
      if constexpr (kWithFifthBit) quads[1] = head[1];
      use(b, block(quads));
    }
  }

  [[gnu::always_inline]] static UnpackedBlock block(const __m512i* quads) {
    UnpackedBlock out;
    out.scale[0] = floats_of_low_halves(quads[0]);
    out.offset = floats_of_high_halves(quads[0]);
    split_nibbles(quads + kBlockQuads - 4, out.weights);
    if constexpr (kWithFifthBit) add_fifth_bits_to_all(out.weights, quads[1]);
    return out;
  }
};

// Q4_0: d (16 bit), then 16 bytes of nibbles. Q5_0: fifth bits (32 bit) between them.
template <bool kWithFifthBit>
struct Nibbles {
  static constexpr bool kHasOffset = false;
  static constexpr int kZero = kWithFifthBit ? 16 : 8;
  static constexpr int kGroups = 1;
  static constexpr size_t kBlockBytes = kWithFifthBit ? 22 : 18;
  static constexpr int kBlockWeights = 32;
  static constexpr int kRowsTogether = 1;

  template <typename Use>
  static void for_each_block(const char* const* rows, size_t at, int n_blocks, Use use) {
    for (int b = 0; b < n_blocks; ++b, at += kBlockBytes) {
      __m512i head[4];
      __m512i quads[4];
      UnpackedBlock out;
      load_quads(rows, at, head);
      load_quads(rows, at + kBlockBytes - 16, quads);
      out.scale[0] = floats_of_low_halves(head[0]);
      split_nibbles(quads, out.weights);
      if constexpr (kWithFifthBit) {
        // The upper half of the first quad and the lower half of the second.
        const __m512i bits =
            _mm512_or_si512(_mm512_srli_epi32(head[0], 16), _mm512_slli_epi32(head[1], 16));
        add_fifth_bits_to_all(out.weights, bits);
      }
      use(b, out);
    }
  }
};

// Q8_0: d (16 bit), then 32 signed bytes.
struct SignedBytes {
  static constexpr bool kHasOffset = false;
  static constexpr int kZero = 128;
  static constexpr int kGroups = 1;
  static constexpr size_t kBlockBytes = 34;
  static constexpr int kBlockWeights = 32;
  static constexpr int kRowsTogether = 1;

  template <typename Use>
  static void for_each_block(const char* const* rows, size_t at, int n_blocks, Use use) {
    for (int b = 0; b < n_blocks; ++b, at += kBlockBytes) {
      UnpackedBlock out;
      __m512i head[4];
      load_quads(rows, at, head);
      load_quads(rows, at + 2, out.weights);
      load_quads(rows, at + 18, out.weights + 4);
      for (int j = 0; j < kQuads; ++j) {
        out.weights[j] = _mm512_xor_si512(out.weights[j], bytes_of(0x80));
      }
      out.scale[0] = floats_of_low_halves(head[0]);
      use(b, out);
    }
  }
};

}  // namespace pyserve
