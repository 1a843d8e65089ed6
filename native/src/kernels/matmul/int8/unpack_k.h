// Unpacks types whose blocks hold 256 weights: Q4_K, Q5_K, Q6_K.
#pragma once

#include <type_traits>

#include "kernels/matmul/int8/unpack.h"

namespace pyserve {

// The 6-bit scales and offsets of 8 blocks, from 12 bytes of each row: three vectors of 4 bytes.
template <typename V>
struct SixBitPairs {
  using Ints = typename V::Ints;
  using Floats = typename V::Floats;

  SixBitPairs(const Ints& first4, const Ints& middle4, const Ints& last4)
      : first(first4), middle(middle4), last(last4) {}

  [[gnu::always_inline]] Floats scale(int b) const {
    return b < 4 ? six(first, 8 * b) : four_and_two(8 * (b - 4), first, b);
  }
  [[gnu::always_inline]] Floats offset(int b) const {
    return b < 4 ? six(middle, 8 * b) : four_and_two(8 * (b - 4) + 4, middle, b);
  }

 private:
  [[gnu::always_inline]] static Floats six(const Ints& x, int at) {
    return V::floats_of(V::and_bits(V::shift_right32(x, at), V::ints_of(0x3F)));
  }
  [[gnu::always_inline]] Floats four_and_two(int at, const Ints& top, int b) const {
    const Ints low = V::and_bits(V::shift_right32(last, at), V::ints_of(0x0F));
    const Ints high = V::and_bits(V::shift_right32(top, 8 * (b - 4) + 2), V::ints_of(0x30));
    return V::floats_of(V::or_bits(low, high));
  }

  Ints first;
  Ints middle;
  Ints last;
};

// Q4_K, Q5_K: d, dmin (16 bit), 12 bytes of scales, fifth bits (32 bytes, bit b of byte i for
// weight i of block b, Q5_K only), 128 bytes: 32 of them hold one block below and the next above.
template <typename V, bool kWithFifthBit, typename Layout>
struct KNibbles {
  using Ints = typename V::Ints;
  static constexpr bool kHasOffset = true;
  static constexpr int kZero = 0;
  static constexpr int kTop = kWithFifthBit ? 31 : 15;
  static constexpr int kGroups = 1;
  static constexpr size_t kFifthBits = 16;
  static constexpr size_t kNibbles = kFifthBits + (kWithFifthBit ? 32 : 0);
  static constexpr int kBlockWeights = 256;
  static constexpr int kRowsTogether = Layout::kRowsTogether;
  static constexpr size_t kBlockBytes = (kNibbles + 128) * kRowsTogether;

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
      UnpackedBlock<V> below;
      UnpackedBlock<V> above;
      Layout::template load_quads<V>(rows, at, kNibbles + b * 16, below.weights);
      Layout::template load_quads<V>(rows, at, kNibbles + b * 16 + 16, below.weights + 4);
      for (int j = 0; j < kQuads; ++j) {
        above.weights[j] = high_nibbles<V>(below.weights[j]);
        below.weights[j] = low_nibbles<V>(below.weights[j]);
      }
      if constexpr (kWithFifthBit) {
        add_fifth(fifth, b, below.weights);
        add_fifth(fifth, b + 1, above.weights);
      }
      below.scale[0] = V::mul(d, pairs.scale(b));
      above.scale[0] = V::mul(d, pairs.scale(b + 1));
      below.offset[0] = V::mul(minus_dmin, pairs.offset(b));
      above.offset[0] = V::mul(minus_dmin, pairs.offset(b + 1));
      use(b, below);
      use(b + 1, above);
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
struct SixBits {
  using Ints = typename V::Ints;
  using Floats = typename V::Floats;
  static constexpr bool kHasOffset = false;
  static constexpr int kZero = 32;
  static constexpr int kTop = 63;
  static constexpr int kGroups = 2;
  static constexpr size_t kUpper = 128;
  static constexpr size_t kScales = 192;
  static constexpr size_t kScale = 208;
  static constexpr int kBlockWeights = 256;
  static constexpr int kRowsTogether = Layout::kRowsTogether;
  static constexpr bool kIsPanel = std::is_same_v<Layout, InPanels>;
  static constexpr size_t kBlockBytes = (kScale + (kIsPanel ? 4 : 2)) * kRowsTogether;

  template <typename Use>
  static void for_each_block(const char* const* rows, size_t at, int n_blocks, Use use) {
    Ints scales[4];
    Layout::template load_quads<V>(rows, at, kScales, scales);
    const auto row_scale = load_scale(rows, at);
    for (int b = 0; b < n_blocks; b += 4) {
      UnpackedBlock<V> out[4];
      if constexpr (!kIsPanel) unpack_four(rows, at, b, out);
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        if constexpr (kIsPanel) unpack_one(rows, at, b, i, out[i]);
        const int s = 2 * (b + i);
        out[i].scale[0] = V::mul(row_scale, signed_byte<V>(scales[s / 4], s % 4));
        out[i].scale[1] = V::mul(row_scale, signed_byte<V>(scales[s / 4], s % 4 + 1));
        use(b + i, out[i]);
      }
    }
  }

  // Block b + i of the 8: what four of them share is read for each of them, since nothing has to be
  // moved for that.
  [[gnu::always_inline]] static void unpack_one(const char* const* rows, size_t at, int b, int i,
                                                UnpackedBlock<V>& out) {
    for (int half = 0; half < 2; ++half) {  // of the 32 bytes
      Ints lower[4];
      Ints upper[4];
      InPanels::load_quads<V>(rows, at, b * 16 + i % 2 * 32 + half * 16, lower);
      InPanels::load_quads<V>(rows, at, kUpper + b * 8 + half * 16, upper);
      for (int j = 0; j < 4; ++j) {
        const Ints low = i < 2 ? low_nibbles<V>(lower[j]) : high_nibbles<V>(lower[j]);
        out.weights[half * 4 + j] = with_upper(low, to_upper(upper[j], i));
      }
    }
  }

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

  [[gnu::always_inline]] static Ints with_upper(const Ints& low, const Ints& bits) {
    return V::or_bits(low, V::and_bits(bits, V::bytes_of(0x30)));
  }

  // Blocks b to b + 3 of the 8.
  [[gnu::always_inline]] static void unpack_four(const char* const* rows, size_t at, int b,
                                                 UnpackedBlock<V>* out) {
    const size_t lower_byte = b * 16;
    const size_t upper_byte = kUpper + b * 8;
    for (int half = 0; half < 2; ++half) {  // of the 32 bytes
      Ints lower[2][4];
      Ints upper[4];
      Layout::template load_quads<V>(rows, at, lower_byte + half * 16, lower[0]);
      Layout::template load_quads<V>(rows, at, lower_byte + half * 16 + 32, lower[1]);
      Layout::template load_quads<V>(rows, at, upper_byte + half * 16, upper);
      for (int j = 0; j < 4; ++j) {
        const int quad = half * 4 + j;
        const Ints bits = upper[j];
        out[0].weights[quad] =
            with_upper(low_nibbles<V>(lower[0][j]), V::template shift_left16<4>(bits));
        out[1].weights[quad] =
            with_upper(low_nibbles<V>(lower[1][j]), V::template shift_left16<2>(bits));
        out[2].weights[quad] = with_upper(high_nibbles<V>(lower[0][j]), bits);
        out[3].weights[quad] =
            with_upper(high_nibbles<V>(lower[1][j]), V::template shift_right16<2>(bits));
      }
    }
  }
};

}  // namespace pyserve
