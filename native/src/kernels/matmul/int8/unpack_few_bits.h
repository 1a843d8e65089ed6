// Unpacks types of 2 and 3 bits, whose blocks hold 256 weights and have a scale for 16 of them:
// Q2_K, Q3_K.
#pragma once

#include <type_traits>

#include "kernels/matmul/int8/unpack.h"

namespace pyserve {

// The lower two bits of blocks 0 to 3, or 4 to 7: bits 2 * i and 2 * i + 1 of 32 bytes are of the
// weights of block i.
template <typename V>
struct BitPairs {
  using Ints = typename V::Ints;

  template <typename Layout>
  [[gnu::always_inline]] void load(const char* const* rows, size_t at, size_t byte) {
    Layout::template load_quads<V>(rows, at, byte, quads);
    Layout::template load_quads<V>(rows, at, byte + 16, quads + 4);
  }
  [[gnu::always_inline]] Ints of(int i, int quad) const {
    return V::and_bits(V::shift_right16(quads[quad], 2 * i), V::bytes_of(3));
  }

  Ints quads[kQuads];
};

// Q2_K: 16 bytes of scales, below, and offsets, above; 64 bytes of bit pairs; d, dmin (16 bit).
template <typename V, typename Layout>
struct TwoBits : WithOffset<3, 2>, BlocksOf<256, 84, Layout> {
  using Ints = typename V::Ints;
  static constexpr int kTopScale = 15;
  static constexpr size_t kPairs = 16;
  static constexpr size_t kEnd = 84;

  template <typename Use>
  static void for_each_block(const char* const* rows, size_t at, int n_blocks, Use use) {
    Ints scales[4];
    Ints tail[4];  // at last d and dmin
    Layout::template load_quads<V>(rows, at, 0, scales);
    Layout::template load_quads<V>(rows, at, kEnd - 16, tail);
    const auto d = V::floats_of_low_halves(tail[3]);
    const auto minus_dmin = V::minus(floats_of_high_halves<V>(tail[3]));
    for (int b = 0; b < n_blocks; b += 4) {
      BitPairs<V> pairs;
      pairs.template load<Layout>(rows, at, kPairs + b * 8);
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        UnpackedPart<V> out;
        for (int quad = 0; quad < kQuads; ++quad) out.weights[quad] = pairs.of(i, quad);
        for (int group = 0; group < 2; ++group) {
          const int s = 2 * (b + i) + group;
          out.scale[group] = nibble(scales[s / 4], s % 4 * 8);
          out.offset[group] = nibble(scales[s / 4], s % 4 * 8 + 4);
        }
        out.d = d;
        out.d_offset = minus_dmin;
        use(b + i, out);
      }
    }
  }

  [[gnu::always_inline]] static Ints nibble(const Ints& x, int bit) {
    return V::and_bits(V::shift_right32(x, bit), V::ints_of(0x0F));
  }
};

// Q3_K: third bits (32 bytes, bit b of byte i for weight i of block b), 64 bytes of bit pairs, 12
// bytes of scales, d (16 bit); in panels two bytes more.
template <typename V, typename Layout>
struct ThreeBits : AroundZero<4, 7, 2>, BlocksOf<256, 110, Layout> {
  using Ints = typename V::Ints;
  static constexpr int kTopScale = 32;
  static constexpr size_t kPairs = 32;
  static constexpr size_t kScales = 96;
  static constexpr bool kIsPanel = std::is_same_v<Layout, InPanels>;

  template <typename Use>
  static void for_each_block(const char* const* rows, size_t at, int n_blocks, Use use) {
    Ints tail[4];  // the scales, then d
    load_tail(rows, at, tail);
    Ints scales[4];
    for (int i = 0; i < 4; ++i) scales[i] = four_scales(tail, i);
    const auto d = V::floats_of_low_halves(tail[3]);
    Ints third[kQuads];
    Layout::template load_quads<V>(rows, at, 0, third);
    Layout::template load_quads<V>(rows, at, 16, third + 4);
    for (int b = 0; b < n_blocks; b += 4) {
      BitPairs<V> pairs;
      pairs.template load<Layout>(rows, at, kPairs + b * 8);
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        UnpackedPart<V> out;
        for (int quad = 0; quad < kQuads; ++quad) {
          const Ints bit = V::and_bits(to_third(third[quad], b + i), V::bytes_of(4));
          out.weights[quad] = V::or_bits(pairs.of(i, quad), bit);
        }
        for (int group = 0; group < 2; ++group) {
          const int s = 2 * (b + i) + group;
          out.scale[group] = signed_byte<V>(scales[s / 4], s % 4);
        }
        out.d = d;
        use(b + i, out);
      }
    }
  }

  [[gnu::always_inline]] static void load_tail(const char* const* rows, size_t at, Ints* tail) {
    if constexpr (kIsPanel) {
      Layout::template load_quads<V>(rows, at, kScales, tail);
    } else {
      // From two bytes before, so as not to read past the end.
      Layout::template load_quads<V>(rows, at, kScales - 2, tail);
      for (int i = 0; i < 3; ++i) {
        tail[i] = V::or_bits(V::shift_right32(tail[i], 16), V::shift_left32(tail[i + 1], 16));
      }
      tail[3] = V::shift_right32(tail[3], 16);
    }
  }

  // Scales 4 * i to 4 * i + 3 of the 16, which are stored as 32 more, as signed bytes.
  [[gnu::always_inline]] static Ints four_scales(const Ints* tail, int i) {
    const Ints low = i < 2 ? low_nibbles<V>(tail[i]) : high_nibbles<V>(tail[i - 2]);
    const Ints moved =
        i < 2 ? V::shift_left16(tail[2], 4 - 2 * i) : V::shift_right16(tail[2], 2 * i - 4);
    return V::add8(V::or_bits(low, V::and_bits(moved, V::bytes_of(0x30))), V::bytes_of(-32));
  }

  // Bit b of each byte, where the third bit of a weight is.
  [[gnu::always_inline]] static Ints to_third(const Ints& bits, int b) {
    return b < 2 ? V::shift_left16(bits, 2 - b) : V::shift_right16(bits, b - 2);
  }
};

}  // namespace pyserve
