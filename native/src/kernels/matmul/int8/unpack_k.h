// Unpacks types whose blocks hold 256 weights: Q4_K, Q5_K, Q6_K.
#pragma once

#include <type_traits>

#include "kernels/matmul/int8/unpack.h"

namespace pyserve {

// The 6-bit scales and offsets of 8 blocks, from 12 bytes of each row: three vectors of 4 bytes.
template <typename V>
struct SixBitPairs {
  using Ints = typename V::Ints;

  SixBitPairs(const Ints& first4, const Ints& middle4, const Ints& last4)
      : first(first4), middle(middle4), last(last4) {}

  [[gnu::always_inline]] Ints scale(int b) const {
    return b < 4 ? six(first, 8 * b) : four_and_two(8 * (b - 4), first, b);
  }
  [[gnu::always_inline]] Ints offset(int b) const {
    return b < 4 ? six(middle, 8 * b) : four_and_two(8 * (b - 4) + 4, middle, b);
  }

 private:
  [[gnu::always_inline]] static Ints six(const Ints& x, int at) {
    return V::and_bits(V::shift_right32(x, at), V::ints_of(0x3F));
  }
  [[gnu::always_inline]] Ints four_and_two(int at, const Ints& top, int b) const {
    const Ints low = V::and_bits(V::shift_right32(last, at), V::ints_of(0x0F));
    const Ints high = V::and_bits(V::shift_right32(top, 8 * (b - 4) + 2), V::ints_of(0x30));
    return V::or_bits(low, high);
  }

  Ints first;
  Ints middle;
  Ints last;
};

// Q4_K, Q5_K: d, dmin (16 bit), 12 bytes of scales, fifth bits (32 bytes, bit b of byte i for
// weight i of block b, Q5_K only), 128 bytes: 32 of them hold one block below and the next above.
template <typename V, bool kWithFifthBit, typename Layout>
struct KNibbles : WithOffset<kWithFifthBit ? 31 : 15>,
                  BlocksOf<256, kWithFifthBit ? 176 : 144, Layout> {
  using Ints = typename V::Ints;
  static constexpr int kTopScale = 63;
  static constexpr size_t kFifthBits = 16;
  static constexpr size_t kNibbles = kFifthBits + (kWithFifthBit ? 32 : 0);

  template <typename Use>
  static void for_each_block(const char* const* rows, size_t at, int n_blocks, Use use) {
    Ints head[4];  // d and dmin, then the scales
    Layout::template load_quads<V>(rows, at, 0, head);
    const SixBitPairs<V> pairs(head[1], head[2], head[3]);
    const auto d = V::floats_of_low_halves(head[0]);
    const auto minus_dmin = V::minus(floats_of_high_halves<V>(head[0]));
    Ints fifth[kQuads];
    if constexpr (kWithFifthBit) {
      Layout::template load_quads<V>(rows, at, kFifthBits, fifth);
      Layout::template load_quads<V>(rows, at, kFifthBits + 16, fifth + 4);
    }
    for (int b = 0; b < n_blocks; b += 2) {
      Ints both[kQuads];
      Layout::template load_quads<V>(rows, at, kNibbles + b * 16, both);
      Layout::template load_quads<V>(rows, at, kNibbles + b * 16 + 16, both + 4);
#pragma GCC unroll 2
      for (int i = 0; i < 2; ++i) {
        UnpackedPart<V> out;
        for (int j = 0; j < kQuads; ++j) {
          out.weights[j] = i == 0 ? low_nibbles<V>(both[j]) : high_nibbles<V>(both[j]);
        }
        if constexpr (kWithFifthBit) add_fifth(fifth, b + i, out.weights);
        out.scale[0] = pairs.scale(b + i);
        out.offset[0] = pairs.offset(b + i);
        out.d = d;
        out.d_offset = minus_dmin;
        use(b + i, out);
      }
    }
  }

  // Bit b of each byte goes to bit 4 of the weight.
  [[gnu::always_inline]] static void add_fifth(const Ints* bits, int b, Ints* weights) {
    for (int j = 0; j < kQuads; ++j) {
      const Ints moved = b < 4 ? V::shift_left16(bits[j], 4 - b) : V::shift_right16(bits[j], b - 4);
      weights[j] = V::or_bits(weights[j], V::and_bits(moved, V::bytes_of(0x10)));
    }
  }
};

// Q6_K: for each half of 128: 64 bytes of low nibbles, 32 of upper bits; after all of these
// 16 signed bytes of scales, one for 16 weights, and d (16 bit); in panels two bytes more.
template <typename V, typename Layout>
struct SixBits : AroundZero<32, 63, 2>, BlocksOf<256, 210, Layout> {
  using Ints = typename V::Ints;
  using Floats = typename V::Floats;
  static constexpr int kTopScale = 128;
  static constexpr size_t kUpper = 128;
  static constexpr size_t kScales = 192;
  static constexpr size_t kScale = 208;
  static constexpr bool kIsPanel = std::is_same_v<Layout, InPanels>;

  template <typename Use>
  static void for_each_block(const char* const* rows, size_t at, int n_blocks, Use use) {
    Ints scales[4];
    Layout::template load_quads<V>(rows, at, kScales, scales);
    const auto row_scale = load_scale(rows, at);
    for (int b = 0; b < n_blocks; b += 4) {
      Shared shared;
      if constexpr (!kIsPanel) shared.load(rows, at, b);
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        // Nothing has to be moved in panels: what four blocks share is read for each of them.
        if constexpr (kIsPanel) shared.load(rows, at, b);
        UnpackedPart<V> out;
        for (int j = 0; j < kQuads; ++j) {
          const Ints lower = shared.lower[i % 2][j];
          const Ints low = i < 2 ? low_nibbles<V>(lower) : high_nibbles<V>(lower);
          out.weights[j] =
              V::or_bits(low, V::and_bits(to_upper(shared.upper[j], i), V::bytes_of(0x30)));
        }
        for (int group = 0; group < 2; ++group) {
          const int s = 2 * (b + i) + group;
          out.scale[group] = signed_byte<V>(scales[s / 4], s % 4);
        }
        out.d = row_scale;
        use(b + i, out);
      }
    }
  }

  // The bytes of blocks b to b + 3 of the 8: blocks b + i and b + i + 2 share the lower ones.
  struct Shared {
    [[gnu::always_inline]] void load(const char* const* rows, size_t at, int b) {
      for (int half = 0; half < 2; ++half) {
        const size_t from = b * 16 + half * 16;
        Layout::template load_quads<V>(rows, at, from, lower[0] + half * 4);
        Layout::template load_quads<V>(rows, at, from + 32, lower[1] + half * 4);
        Layout::template load_quads<V>(rows, at, kUpper + b * 8 + half * 16, upper + half * 4);
      }
    }

    Ints lower[2][kQuads];
    Ints upper[kQuads];
  };

  // Bits 2 * i and 2 * i + 1 of each byte, where the upper bits of a weight are.
  [[gnu::always_inline]] static Ints to_upper(const Ints& bits, int i) {
    return i < 2 ? V::shift_left16(bits, 4 - 2 * i) : V::shift_right16(bits, 2 * i - 4);
  }

  [[gnu::always_inline]] static Floats load_scale(const char* const* rows, size_t at) {
    if constexpr (kIsPanel) {
      return V::floats_of_low_halves(InPanels::load_quad<V>(rows, at, kScale));
    } else {
      Ints tail[4];
      transpose_quads<V>(rows, at + kScale + 2 - 16, tail);
      return floats_of_high_halves<V>(tail[3]);
    }
  }
};

}  // namespace pyserve
