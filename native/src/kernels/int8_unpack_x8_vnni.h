// Types that the vendored library repacked when it loaded them: 8 rows side by side, 8 bytes of
// each in turn; rows[0] and rows[8] are the two groups. Include only from files compiled for
// AVX-512 with VNNI.
#pragma once

#include "kernels/int8_unpack_vnni.h"

namespace pyserve {

// Two quads from 8 rows side by side, 8 bytes of each; twice.
[[gnu::always_inline]] inline void load_repacked_quads(const char* const* rows, size_t at,
                                                       __m512i* quads) {
  const __m512i first = _mm512_loadu_si512(rows[0] + at);
  const __m512i second = _mm512_loadu_si512(rows[8] + at);
  const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
  quads[0] = _mm512_permutex2var_epi32(first, even, second);
  quads[1] = _mm512_permutex2var_epi32(first, _mm512_add_epi32(even, _mm512_set1_epi32(1)), second);
}

inline __m512 load_repacked_f16(const char* const* rows, size_t at) {
  const __m128i first = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[0] + at));
  const __m128i second = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[8] + at));
  return _mm512_cvtph_ps(_mm256_set_m128i(second, first));
}

// Q4_0 repacked: d of 8 rows, then their bytes, 8 at a time; nibbles are signed.
struct RepackedNibbles {
  static constexpr bool kHasOffset = false;
  static constexpr int kZero = 8;
  static constexpr int kGroups = 1;
  static constexpr size_t kBlockBytes = 8 * 18;
  static constexpr int kBlockWeights = 32;
  static constexpr int kRowsTogether = 8;

  template <typename Use>
  static void for_each_block(const char* const* rows, size_t at, int n_blocks, Use use) {
    for (int b = 0; b < n_blocks; ++b, at += kBlockBytes) {
      __m512i quads[4];
      load_repacked_quads(rows, at + 16, quads);
      load_repacked_quads(rows, at + 80, quads + 2);
      for (__m512i& quad : quads) quad = _mm512_xor_si512(quad, bytes_of(0x88));
      UnpackedBlock out;
      split_nibbles(quads, out.weights);
      out.scale[0] = load_repacked_f16(rows, at);
      use(b, out);
    }
  }
};

// Q4_K repacked: d and dmin of 8 rows, for each block 12 bytes with the scales and offsets of the
// 8 rows, then the rows' nibbles, 8 bytes at a time.
struct RepackedKNibbles {
  static constexpr bool kHasOffset = true;
  static constexpr int kZero = 0;
  static constexpr int kGroups = 1;
  static constexpr size_t kScales = 32;
  static constexpr size_t kNibbles = kScales + 96;
  static constexpr size_t kBlockBytes = 8 * 144;
  static constexpr int kBlockWeights = 256;
  static constexpr int kRowsTogether = 8;

  template <typename Use>
  static void for_each_block(const char* const* rows, size_t at, int n_blocks, Use use) {
    const __m512 d = load_repacked_f16(rows, at);
    const __m512 minus_dmin = Avx512::sub(Avx512::zero(), load_repacked_f16(rows, at + 16));
    for (int b = 0; b < n_blocks; b += 2) {
      UnpackedBlock below;
      UnpackedBlock above;
      for (int j = 0; j < kQuads; j += 2) {
        load_repacked_quads(rows, at + kNibbles + b * 128 + j * 32, below.weights + j);
      }
      for (int j = 0; j < kQuads; ++j) {
        above.weights[j] = high_nibbles(below.weights[j]);
        below.weights[j] = low_nibbles(below.weights[j]);
      }
      set_scales(rows, at + kScales + b * 12, d, minus_dmin, below);
      set_scales(rows, at + kScales + (b + 1) * 12, d, minus_dmin, above);
      use(b, below);
      use(b + 1, above);
    }
  }

  [[gnu::always_inline]] static void set_scales(const char* const* rows, size_t at, __m512 d,
                                                __m512 minus_dmin, UnpackedBlock& out) {
    const SixBitBytes first(rows[0] + at);
    const SixBitBytes second(rows[8] + at);
    out.scale[0] = Avx512::mul(d, floats(first.scale, second.scale));
    out.offset = Avx512::mul(minus_dmin, floats(first.offset, second.offset));
  }

  // The scales and offsets of 8 rows, a byte each.
  struct SixBitBytes {
    explicit SixBitBytes(const char* from) {
      uint32_t first = 0;
      uint32_t middle = 0;
      uint32_t last = 0;
      std::memcpy(&first, from, sizeof(first));
      std::memcpy(&middle, from + 4, sizeof(middle));
      std::memcpy(&last, from + 8, sizeof(last));
      const uint32_t scale_up = (last & 0x0F0F0F0FU) | ((first >> 2) & 0x30303030U);
      const uint32_t offset_up = ((last >> 4) & 0x0F0F0F0FU) | ((middle >> 2) & 0x30303030U);
      scale = (first & 0x3F3F3F3FU) | static_cast<uint64_t>(scale_up) << 32;
      offset = (middle & 0x3F3F3F3FU) | static_cast<uint64_t>(offset_up) << 32;
    }

    uint64_t scale;
    uint64_t offset;
  };

  static __m512 floats(uint64_t first8, uint64_t last8) {
    const __m128i first = _mm_cvtsi64_si128(static_cast<long long>(first8));
    const __m128i last = _mm_cvtsi64_si128(static_cast<long long>(last8));
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_unpacklo_epi64(first, last)));
  }
};

}  // namespace pyserve
