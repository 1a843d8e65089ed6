// Quantized blocks of 16 rows become floats with the rows in the lanes.
//
// A block of Q4_1 is d, m (16 bit), then 16 bytes; byte j holds weight j below and j + 16 above:
// weight = d * q + m. Q5_1 has 32 bits of fifth bits between m and the bytes. The bytes of 16 rows
// are transposed as bytes, so that one vector holds byte j of every row.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "kernels/panel_gemm.h"

namespace pyserve {

inline constexpr int kQuantBlock = 32;

// bytes[j] lane i  <->  bytes[i] lane j.
inline void transpose_bytes(__m128i* bytes) {
  __m128i other[16];
  for (int stage = 0; stage < 2; ++stage) {
    // Interleaving rows i and i + 8 four times is a transposition.
    for (int i = 0; i < 8; ++i) {
      other[2 * i] = _mm_unpacklo_epi8(bytes[i], bytes[i + 8]);
      other[2 * i + 1] = _mm_unpackhi_epi8(bytes[i], bytes[i + 8]);
    }
    for (int i = 0; i < 8; ++i) {
      bytes[2 * i] = _mm_unpacklo_epi8(other[i], other[i + 8]);
      bytes[2 * i + 1] = _mm_unpackhi_epi8(other[i], other[i + 8]);
    }
  }
}

// `Lanes` knows how to hold 16 numbers: Scales, load_scales(const uint16_t*), Bits, load_bits,
// and store(out, nibbles, bits, shift, d, m).
template <typename Lanes, bool kHasFifthBit>
void unpack_blocks(const char* const* rows, int n_k, float* panel, int panel_width) {
  constexpr size_t kHead = kHasFifthBit ? 8 : 4;
  constexpr size_t kBlockBytes = kHead + 16;
  const __m128i low = _mm_set1_epi8(0x0F);
  for (int k = 0; k < n_k; k += kQuantBlock) {
    const size_t at = static_cast<size_t>(k / kQuantBlock) * kBlockBytes;
    uint16_t d[kRowGroup];
    uint16_t m[kRowGroup];
    uint32_t fifth[kRowGroup] = {};
    __m128i bytes[kRowGroup];
    for (int i = 0; i < kRowGroup; ++i) {
      const char* block = rows[i] + at;
      std::memcpy(&d[i], block, sizeof(d[i]));
      std::memcpy(&m[i], block + 2, sizeof(m[i]));
      if constexpr (kHasFifthBit) std::memcpy(&fifth[i], block + 4, sizeof(fifth[i]));
      bytes[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block + kHead));
    }
    transpose_bytes(bytes);
    const Lanes lanes(d, m, fifth);
    float* out = panel + static_cast<size_t>(k) * panel_width;
    for (int j = 0; j < 16; ++j) {
      const __m128i below = _mm_and_si128(bytes[j], low);
      const __m128i above = _mm_and_si128(_mm_srli_epi16(bytes[j], 4), low);
      lanes.template store<kHasFifthBit>(out + static_cast<size_t>(j) * panel_width, below, j);
      lanes.template store<kHasFifthBit>(out + static_cast<size_t>(j + 16) * panel_width, above,
                                         j + 16);
    }
  }
}

}  // namespace pyserve
