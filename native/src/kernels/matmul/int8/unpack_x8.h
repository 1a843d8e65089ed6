// Types that the vendored library repacked when it loaded them: 8 rows side by side, 8 bytes of
// each in turn; rows[0] and rows[8] are the two groups.
#pragma once

#include "kernels/matmul/int8/unpack.h"

namespace pyserve {

// Q4_0 repacked: d of 8 rows, then their bytes, 8 at a time; nibbles are signed.
template <typename V>
struct RepackedNibbles : NibblesWorth<false>,
                         BlocksOf<32, kNibblesBytes<false>, InX8>,
                         OneByOne<RepackedNibbles<V>> {
  [[gnu::always_inline]] static UnpackedBlock<V> block_at(const char* const* rows, size_t at) {
    typename V::Ints quads[4];
    V::load_even_odd(rows[0] + at + 16, rows[8] + at + 16, quads[0], quads[1]);
    V::load_even_odd(rows[0] + at + 80, rows[8] + at + 80, quads[2], quads[3]);
    for (auto& quad : quads) quad = V::xor_bits(quad, V::bytes_of(0x88));
    UnpackedBlock<V> out;
    split_nibbles<V>(quads, out.weights);
    out.scale[0] = V::load_f16(rows[0] + at, rows[8] + at);
    return out;
  }
};

// Q4_K repacked: d and dmin of 8 rows, for each block 12 bytes with the scales and offsets of the
// 8 rows, then the rows' nibbles, 8 bytes at a time.
template <typename V>
struct RepackedKNibbles : WithOffset<15>, BlocksOf<256, 144, InX8> {
  using Floats = typename V::Floats;
  static constexpr int kTopScale = 63;
  static constexpr size_t kScales = 32;
  static constexpr size_t kNibbles = kScales + 96;

  template <typename Use>
  static void for_each_block(const char* const* rows, size_t at, int n_blocks, Use use) {
    const Floats d = V::load_f16(rows[0] + at, rows[8] + at);
    const Floats minus_dmin = V::minus(V::load_f16(rows[0] + at + 16, rows[8] + at + 16));
    for (int b = 0; b < n_blocks; b += 2) {
      UnpackedPart<V> below;
      UnpackedPart<V> above;
      for (int j = 0; j < kQuads; j += 2) {
        const size_t from = at + kNibbles + b * 128 + j * 32;
        V::load_even_odd(rows[0] + from, rows[8] + from, below.weights[j], below.weights[j + 1]);
      }
      for (int j = 0; j < kQuads; ++j) {
        above.weights[j] = high_nibbles<V>(below.weights[j]);
        below.weights[j] = low_nibbles<V>(below.weights[j]);
      }
      set_scales(rows, at + kScales + b * 12, below);
      set_scales(rows, at + kScales + (b + 1) * 12, above);
      below.d = above.d = d;
      below.d_offset = above.d_offset = minus_dmin;
      use(b, below);
      use(b + 1, above);
    }
  }

  [[gnu::always_inline]] static void set_scales(const char* const* rows, size_t at,
                                                UnpackedPart<V>& out) {
    const SixBitBytes first(rows[0] + at);
    const SixBitBytes second(rows[8] + at);
    out.scale[0] = V::ints_of_bytes(first.scale, second.scale);
    out.offset[0] = V::ints_of_bytes(first.offset, second.offset);
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
};

}  // namespace pyserve
