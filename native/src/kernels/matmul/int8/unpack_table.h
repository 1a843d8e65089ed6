// Unpacks types whose nibbles are numbers of entries in a table of signed bytes: IQ4_NL, IQ4_XS and
// MXFP4, from the file's layout and from panels.
#pragma once

#include <algorithm>
#include <array>

#include "kernels/matmul/int8/unpack.h"
#include "kernels/matmul/int8/unpack_panel.h"

namespace pyserve {

// What nibbles stand for in IQ4_NL and IQ4_XS.
template <typename V>
struct UnevenValues : AsSignedBytes<V> {
  static constexpr std::array kValues{-127, -104, -83, -65, -49, -35, -22, -10,
                                      1,    13,   25,  38,  53,  69,  89,  113};
};

// Twice the 4-bit floats of MXFP4: a sign, two bits of exponent, one of fraction.
struct TwiceFloat4 : AroundZero<12, 24> {
  static constexpr std::array kValues{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
};

// The values, kZero more than they are, 4 bytes in a number.
template <typename Values>
consteval std::array<int32_t, 4> packed_table() {
  std::array<int32_t, 4> out{};
  for (int i = 0; i < 16; ++i) {
    const auto byte = static_cast<uint8_t>(Values::kValues[i] + Values::kZero);
    out[i / 4] |= static_cast<int32_t>(uint32_t{byte} << (i % 4 * 8));
  }
  return out;
}

// 16 bytes as split_nibbles() takes them.
template <typename V, typename Values>
[[gnu::always_inline]] inline void look_up_nibbles(const typename V::Ints* quads,
                                                   typename V::Ints* weights) {
  constexpr std::array kTable = packed_table<Values>();
  const auto table = V::quarters_of(kTable[3], kTable[2], kTable[1], kTable[0]);
  split_nibbles<V>(quads, weights);
  for (int j = 0; j < kQuads; ++j) weights[j] = V::shuffle8(table, weights[j]);
}

// IQ4_NL: d (16 bit), then 16 bytes of nibbles.
inline constexpr size_t kUnevenNibblesBytes = 18;

template <typename V>
struct UnevenNibbles : UnevenValues<V>,
                       BlocksOf<32, kUnevenNibblesBytes, InRows>,
                       OneByOne<UnevenNibbles<V>> {
  [[gnu::always_inline]] static UnpackedBlock<V> block_at(const char* const* rows, size_t at) {
    typename V::Ints head[4];
    typename V::Ints quads[4];
    UnpackedBlock<V> out;
    transpose_quads<V>(rows, at, head);
    transpose_quads<V>(rows, at + 2, quads);
    out.scale[0] = V::floats_of_low_halves(head[0]);
    look_up_nibbles<V, UnevenValues<V>>(quads, out.weights);
    return out;
  }
};

template <typename V>
struct PanelUnevenNibbles : UnevenValues<V>, Paired<PanelUnevenNibbles<V>, V, kUnevenNibblesBytes> {
  [[gnu::always_inline]] static void unpack(const char* const* rows, size_t at,
                                            typename V::Ints* weights) {
    typename V::Ints quads[4];
    InPanels::load_quads<V>(rows, at, 0, quads);
    look_up_nibbles<V, UnevenValues<V>>(quads, weights);
  }
};

// MXFP4: an exponent (8 bit), then 16 bytes of nibbles.
inline constexpr size_t kScaledFloat4Bytes = 17;

template <typename V>
struct ScaledFloat4Block : TwiceFloat4 {
  using Ints = typename V::Ints;

  [[gnu::always_inline]] static UnpackedBlock<V> block(const Ints* quads, const Ints& exponent) {
    UnpackedBlock<V> out;
    look_up_nibbles<V, TwiceFloat4>(quads, out.weights);
    out.scale[0] = half_power(exponent);
    return out;
  }

  // Half of 2 to the power of e - 127, where e is the lowest byte of each lane: a product of two
  // powers, for the smallest ones are below the normal floats, which have an exponent of 8 bits.
  [[gnu::always_inline]] static typename V::Floats half_power(const Ints& x) {
    const Ints first = V::shift_right32(V::and_bits(x, V::ints_of(0xFE)), 1);
    const Ints second = V::add8(first, V::and_bits(x, V::ints_of(1)));
    const auto power = [](const Ints& e) PYSERVE_INLINE {
      return V::bits_as_floats(V::shift_left32(V::add8(e, V::ints_of(127 - 64)), 23));
    };
    return V::mul(power(first), power(second));
  }
};

template <typename V>
struct ScaledFloat4 : ScaledFloat4Block<V>,
                      BlocksOf<32, kScaledFloat4Bytes, InRows>,
                      OneByOne<ScaledFloat4<V>> {
  [[gnu::always_inline]] static UnpackedBlock<V> block_at(const char* const* rows, size_t at) {
    typename V::Ints head[4];
    typename V::Ints quads[4];
    transpose_quads<V>(rows, at, head);
    transpose_quads<V>(rows, at + 1, quads);
    return ScaledFloat4Block<V>::block(quads, head[0]);
  }
};

// The nibbles of four blocks, then their exponents; of fewer where a row ends.
template <typename V>
struct PanelScaledFloat4 : ScaledFloat4Block<V>, BlocksOf<128, 4 * kScaledFloat4Bytes, InPanels> {
  static constexpr int kTogether = 4;
  static constexpr size_t kScaleBytes = 1;
  static constexpr int kMultiple = 1;

  template <typename Use>
  static void for_each_block(const char* const* rows, size_t at, int n_blocks, Use use) {
    for (int first = 0; first < n_blocks;
         first += kTogether, at += PanelScaledFloat4::kBlockBytes) {
      const int n = std::min(kTogether, n_blocks - first);
      const auto exponents = InPanels::load_quad<V>(rows, at, 16 * n);
      for (int i = 0; i < n; ++i) {
        typename V::Ints quads[4];
        InPanels::load_quads<V>(rows, at, 16 * i, quads);
        use(first + i, ScaledFloat4Block<V>::block(quads, V::shift_right32(exponents, 8 * i)));
      }
    }
  }
};

// IQ4_XS: d (16 bit), the upper 2 bits of 8 scales, their lower 4 bits, then 16 bytes of nibbles
// for each block of 32.
template <typename V, typename Layout>
struct KUnevenNibbles : UnevenValues<V>, BlocksOf<256, 136, Layout> {
  using Ints = typename V::Ints;
  static constexpr int kTopScale = 32;
  static constexpr size_t kNibbles = 8;

  template <typename Use>
  static void for_each_block(const char* const* rows, size_t at, int n_blocks, Use use) {
    Ints head[4];  // d and the scales' upper bits, then the lower ones
    Layout::template load_quads<V>(rows, at, 0, head);
    const auto d = V::floats_of_low_halves(head[0]);
    for (int b = 0; b < n_blocks; ++b) {
      Ints quads[4];
      UnpackedPart<V> out;
      Layout::template load_quads<V>(rows, at, kNibbles + b * 16, quads);
      look_up_nibbles<V, UnevenValues<V>>(quads, out.weights);
      out.scale[0] = scale(head, b);
      out.d = d;
      use(b, out);
    }
  }

  // Of six bits, less 32: with the upper one inverted it is the sign.
  [[gnu::always_inline]] static Ints scale(const Ints* head, int b) {
    const Ints low = V::and_bits(V::shift_right32(head[1], 4 * b), V::ints_of(0x0F));
    const Ints high = V::and_bits(V::shift_right32(head[0], 12 + 2 * b), V::ints_of(0x30));
    const Ints six = V::xor_bits(V::or_bits(low, high), V::ints_of(0x20));
    return V::shift_right32_signed(V::shift_left32(six, 26), 26);
  }
};

}  // namespace pyserve
