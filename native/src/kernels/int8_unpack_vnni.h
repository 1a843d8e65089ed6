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

// Up to kMaxBlocks blocks of 16 rows: weights as [block][quad][row][4].
struct Unpacked {
  __m512i weights[kMaxBlocks][kQuads];
  __m512 scale[kMaxBlocks * 2];  // [block][group]
  __m512 offset[kMaxBlocks];
};

inline __m512i bytes_of(int x) { return _mm512_set1_epi8(static_cast<char>(x)); }

// quads[j] lane i = the j-th 4 bytes of rows[i], from the 16 bytes at `at` of each row.
inline void load_quads(const char* const* rows, size_t at, __m512i* quads) {
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

// One number of T from each row, for every block: gathered for all blocks before the first is
// used, for a vector cannot be loaded right after its parts were stored.
template <typename T>
struct RowNumbers {
  void gather(const char* const* rows, size_t at, size_t block_bytes, int n_blocks) {
    for (int b = 0; b < n_blocks; ++b) {
      for (int i = 0; i < kUnpackRows; ++i) {
        std::memcpy(&at_block[b][i], rows[i] + at + b * block_bytes, sizeof(T));
      }
    }
  }

  T at_block[kMaxBlocks][kUnpackRows];
};

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

// Q4_0, Q4_1, Q5_0, Q5_1: d (16 bit), offset (16 bit, _1 only), fifth bits (32 bit, Q5 only), then
// 16 bytes; byte j holds weight j below and weight j + 16 above.
template <bool kWithOffset, bool kWithFifthBit>
struct Nibbles {
  static constexpr bool kHasOffset = kWithOffset;
  static constexpr int kZero = kWithOffset ? 0 : kWithFifthBit ? 16 : 8;
  static constexpr int kGroups = 1;
  static constexpr size_t kBits = kWithOffset ? 4 : 2;
  static constexpr size_t kHead = kBits + (kWithFifthBit ? 4 : 0);
  static constexpr size_t kBlockBytes = kHead + 16;
  static constexpr int kBlockWeights = 32;
  static constexpr int kRowsTogether = 1;

  static void unpack(const char* const* rows, size_t at, int n_blocks, Unpacked& out) {
    RowNumbers<uint16_t> d;
    RowNumbers<uint16_t> m;
    RowNumbers<uint32_t> fifth;
    d.gather(rows, at, kBlockBytes, n_blocks);
    if constexpr (kWithOffset) m.gather(rows, at + 2, kBlockBytes, n_blocks);
    if constexpr (kWithFifthBit) fifth.gather(rows, at + kBits, kBlockBytes, n_blocks);
    for (int b = 0; b < n_blocks; ++b) {
      __m512i quads[4];
      __m512i* weights = out.weights[b];
      load_quads(rows, at + b * kBlockBytes + kHead, quads);
      for (int j = 0; j < 4; ++j) {
        weights[j] = low_nibbles(quads[j]);
        weights[j + 4] = high_nibbles(quads[j]);
      }
      if constexpr (kWithFifthBit) add_fifth(weights, _mm512_loadu_si512(fifth.at_block[b]));
      out.scale[b] = Avx512::load_f16(d.at_block[b]);
      if constexpr (kWithOffset) out.offset[b] = Avx512::load_f16(m.at_block[b]);
    }
  }

  static void add_fifth(__m512i* weights, __m512i bits) {
    weights[0] = add_fifth_bits<0>(weights[0], bits);
    weights[1] = add_fifth_bits<1>(weights[1], bits);
    weights[2] = add_fifth_bits<2>(weights[2], bits);
    weights[3] = add_fifth_bits<3>(weights[3], bits);
    weights[4] = add_fifth_bits<4>(weights[4], bits);
    weights[5] = add_fifth_bits<5>(weights[5], bits);
    weights[6] = add_fifth_bits<6>(weights[6], bits);
    weights[7] = add_fifth_bits<7>(weights[7], bits);
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

  static void unpack(const char* const* rows, size_t at, int n_blocks, Unpacked& out) {
    RowNumbers<uint16_t> d;
    d.gather(rows, at, kBlockBytes, n_blocks);
    for (int b = 0; b < n_blocks; ++b) {
      __m512i* weights = out.weights[b];
      load_quads(rows, at + b * kBlockBytes + 2, weights);
      load_quads(rows, at + b * kBlockBytes + 18, weights + 4);
      for (int j = 0; j < kQuads; ++j) {
        weights[j] = _mm512_xor_si512(weights[j], bytes_of(0x80));
      }
      out.scale[b] = Avx512::load_f16(d.at_block[b]);
    }
  }
};

}  // namespace pyserve
