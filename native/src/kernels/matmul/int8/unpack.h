// Unpacks blocks of 16 rows, of every quantized type, to bytes with the rows in the lanes.
//
// `V` is the CPU's arithmetic (gemm_simd.h says what it has), a type's first parameter. A type says
// what a weight is worth (AroundZero or WithOffset) and how its blocks lie in memory (BlocksOf),
// and has for_each_block(rows, at, n_blocks, use), which unpacks the blocks of 32 weights that
// begin `at` bytes into the rows and calls use(b, UnpackedOf<Type, V>) for each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/matmul/int8/columns.h"

namespace pyserve {

// Without it the compiler hands blocks over in memory.
#define PYSERVE_INLINE __attribute__((always_inline))

inline constexpr int kQuads = kInt8Block / 4;  // groups of 4 weights in a block
inline constexpr int kSuperBlock = kPieceValues;
inline constexpr int kMaxBlocks = kSuperBlock / kInt8Block;  // unpacked at a time, 4 KiB

// One block of the rows that `V` has lanes for.
template <typename V>
struct UnpackedBlock {
  typename V::Ints weights[kQuads];  // [quad][row][4]
  typename V::Floats scale[2];       // [group]
  typename V::Floats offset[2];      // [group]
};

// A block of a super-block: scales and offsets are whole numbers, of 8 bits with their sign, times
// two floats that all of its blocks share.
template <typename V>
struct UnpackedPart {
  typename V::Ints weights[kQuads];  // [quad][row][4]
  typename V::Ints scale[2];         // [group]
  typename V::Ints offset[2];        // [group]
  typename V::Floats d;
  typename V::Floats d_offset;
};

// scale * (q - kZero). The largest q is kTop (none for signed bytes), a block of 32 has kGroups
// scales.
template <int kZeroQ, int kTopQ, int kScales = 1>
struct AroundZero {
  static constexpr bool kHasOffset = false;
  static constexpr int kZero = kZeroQ;
  static constexpr int kTop = kTopQ;
  static constexpr int kGroups = kScales;
};

// scale * q + offset.
template <int kTopQ, int kScales = 1>
struct WithOffset {
  static constexpr bool kHasOffset = true;
  static constexpr int kZero = 0;
  static constexpr int kTop = kTopQ;
  static constexpr int kGroups = kScales;
};

// Signed bytes, which stay signed unless `V` has a dot product of others.
template <typename V>
using AsSignedBytes = AroundZero<V::kHasDot && !V::kIsDotSigned ? 128 : 0, 255>;

// Blocks of so many weights and bytes of a row, of all rows that lie side by side in `Layout`.
template <int kWeights, size_t kRowBytes, typename Layout>
struct BlocksOf {
  static constexpr int kBlockWeights = kWeights;
  static constexpr int kRowsTogether = Layout::kRowsTogether;
  static constexpr size_t kBlockBytes = Layout::padded(kRowBytes) * kRowsTogether;
};

// Whether its blocks are parts of super-blocks, which kMaxBlocks make. Activations then have one
// scale for as many, so that all sums of a super-block are whole numbers.
template <typename Type>
inline constexpr bool kHasSuperBlocks = Type::kBlockWeights == kSuperBlock;

// Int8Kernel::n_scales and n_sums.
template <typename Type>
inline constexpr int kPieceScales = kHasSuperBlocks<Type> ? 1 : kMaxBlocks;
template <typename Type>
inline constexpr int kPieceSums =
    kMaxBlocks * Type::kGroups / (kHasSuperBlocks<Type> && Type::kHasOffset ? 2 : 1);

template <typename Type, typename V>
using UnpackedOf = std::conditional_t<kHasSuperBlocks<Type>, UnpackedPart<V>, UnpackedBlock<V>>;

// What the blocks of a super-block have beside their weights.
template <typename Type, typename V>
struct SuperBlockScales {
  [[gnu::always_inline]] void keep(int b, const UnpackedPart<V>& part) {
    d = part.d;
    if constexpr (Type::kHasOffset) {
      d_offset = part.d_offset;
      for (int group = 0; group < Type::kGroups; ++group) {
        const int i = b * Type::kGroups + group;
        auto& pair = offset_pairs[i / 2];
        pair = i % 2 == 0 ? part.offset[group]
                          : V::or_bits(pair, V::shift_left32(part.offset[group], 16));
      }
    }
  }

  // What part p of the rows gives for a column, less its scale: `whole`, the product without
  // offsets, and the offsets times the sums of the column.
  template <typename Simd>
  [[gnu::always_inline]] auto scaled(int p, const typename V::Part& whole,
                                     const int32_t* sum_pairs) const {
    const auto out = Simd::mul(V::part_floats(whole), V::float_part(d, p));
    if constexpr (!Type::kHasOffset) {
      return out;
    } else {
      auto offsets = V::part_of(0);
      for (int i = 0; i < kPairs; ++i) {
        offsets = V::add_pairs(offsets, V::part(offset_pairs[i], p), V::part_of(sum_pairs[i]));
      }
      return Simd::fmadd(V::part_floats(offsets), V::float_part(d_offset, p), out);
    }
  }

  static constexpr int kPairs = kMaxBlocks * Type::kGroups / 2;
  typename V::Floats d;
  typename V::Floats d_offset;
  typename V::Ints offset_pairs[kPairs];  // of 16 bits
};

// For types whose blocks have 32 weights: Type::block_at(rows, at) unpacks one.
template <typename Type>
struct OneByOne {
  template <typename Use>
  static void for_each_block(const char* const* rows, size_t at, int n_blocks, Use use) {
    for (int b = 0; b < n_blocks; ++b, at += Type::kBlockBytes) use(b, Type::block_at(rows, at));
  }
};

// A type as `W` unpacks it.
template <typename Type, typename W>
struct WithLanesOf;
template <template <typename> class Type, typename V, typename W>
struct WithLanesOf<Type<V>, W> {
  using type = Type<W>;
};
template <template <typename, bool> class Type, typename V, bool kIs, typename W>
struct WithLanesOf<Type<V, kIs>, W> {
  using type = Type<W, kIs>;
};
template <template <typename, typename> class Type, typename V, typename Layout, typename W>
struct WithLanesOf<Type<V, Layout>, W> {
  using type = Type<W, Layout>;
};
template <template <typename, bool, typename> class Type, typename V, bool kIs, typename Layout,
          typename W>
struct WithLanesOf<Type<V, kIs, Layout>, W> {
  using type = Type<W, kIs, Layout>;
};
template <typename Type, typename W>
using WithLanes = typename WithLanesOf<Type, W>::type;

// quads[j] lane i = the j-th 4 bytes of rows[i], from the 16 bytes at `at` of each row.
template <typename V>
[[gnu::always_inline]] inline void transpose_quads(const char* const* rows, size_t at,
                                                   typename V::Ints* quads) {
  typename V::Ints four[4];
  for (int r = 0; r < 4; ++r) four[r] = V::load_every_fourth(rows, at, r);
  const auto low01 = V::low32(four[0], four[1]);
  const auto low23 = V::low32(four[2], four[3]);
  const auto high01 = V::high32(four[0], four[1]);
  const auto high23 = V::high32(four[2], four[3]);
  quads[0] = V::low64(low01, low23);
  quads[1] = V::high64(low01, low23);
  quads[2] = V::low64(high01, high23);
  quads[3] = V::high64(high01, high23);
}

// Rows as they are in the file; a block begins at rows[i] + at.
struct InRows {
  static constexpr int kRowsTogether = 1;
  static constexpr size_t padded(size_t n_bytes) { return n_bytes; }

  // The 16 bytes of each row from byte `byte` of the block on.
  template <typename V>
  [[gnu::always_inline]] static void load_quads(const char* const* rows, size_t at, size_t byte,
                                                typename V::Ints* quads) {
    transpose_quads<V>(rows, at + byte, quads);
  }
};

// Sixteen rows side by side, 4 bytes of each in turn (panels.h); a block begins at rows[0] + at.
struct InPanels {
  static constexpr int kRowsTogether = kGemmRows;
  static constexpr size_t padded(size_t n_bytes) { return (n_bytes + 3) / 4 * 4; }

  template <typename V>
  [[gnu::always_inline]] static void load_quads(const char* const* rows, size_t at, size_t byte,
                                                typename V::Ints* quads) {
    for (int j = 0; j < 4; ++j) quads[j] = load_quad<V>(rows, at, byte + 4 * j);
  }
  template <typename V>
  [[gnu::always_inline]] static typename V::Ints load_quad(const char* const* rows, size_t at,
                                                           size_t byte) {
    return V::load(rows[0] + at + byte * kGemmRows);
  }
};

// Eight rows side by side, as the vendored library repacks them; blocks begin at rows[0] + at and
// rows[8] + at.
struct InX8 {
  static constexpr int kRowsTogether = 8;
  static constexpr size_t padded(size_t n_bytes) { return n_bytes; }
};

// A signed byte of each lane.
template <typename V>
[[gnu::always_inline]] inline typename V::Ints signed_byte(const typename V::Ints& x, int byte) {
  return V::shift_right32_signed(V::shift_left32(x, 24 - 8 * byte), 24);
}

// The 16-bit floats in the upper half of each lane.
template <typename V>
[[gnu::always_inline]] inline typename V::Floats floats_of_high_halves(const typename V::Ints& x) {
  return V::floats_of_low_halves(V::shift_right32(x, 16));
}

template <typename V>
[[gnu::always_inline]] inline typename V::Ints low_nibbles(const typename V::Ints& x) {
  return V::and_bits(x, V::bytes_of(0x0F));
}
template <typename V>
[[gnu::always_inline]] inline typename V::Ints high_nibbles(const typename V::Ints& x) {
  return low_nibbles<V>(V::template shift_right16<4>(x));
}

// Adds 16 to the weights whose bit of `bits` (32 for the block's 32 weights) is set.
template <typename V>
[[gnu::always_inline]] inline void add_fifth_bits(typename V::Ints* weights,
                                                  const typename V::Ints& bits) {
  const auto byte_of_row = V::quarters_of(0x0C0C0C0C, 0x08080808, 0x04040404, 0);
#pragma GCC unroll 8
  for (int quad = 0; quad < kQuads; ++quad) {
    const auto four = V::shuffle8(bits, V::add8(V::bytes_of(quad / 2), byte_of_row));
    const auto bit = V::ints_of(quad % 2 == 0 ? 0x08040201 : -0x7FBFDFF0);
    weights[quad] = V::add8_where(weights[quad], four, bit, V::bytes_of(16));
  }
}

// 16 bytes; byte j holds weight j below and weight j + 16 above.
template <typename V>
[[gnu::always_inline]] inline void split_nibbles(const typename V::Ints* quads,
                                                 typename V::Ints* weights) {
  for (int j = 0; j < 4; ++j) {
    weights[j] = low_nibbles<V>(quads[j]);
    weights[j + 4] = high_nibbles<V>(quads[j]);
  }
}

// Q4_1, Q5_1: d, m (16 bit), fifth bits (32 bit, Q5_1 only), then 16 bytes of nibbles.
template <typename V, bool kWithFifthBit>
struct OffsetNibblesBlock : WithOffset<kWithFifthBit ? 31 : 15> {
  static constexpr size_t kRowBytes = kWithFifthBit ? 24 : 20;
  static constexpr int kBlockQuads = kRowBytes / 4;

  [[gnu::always_inline]] static UnpackedBlock<V> block(const typename V::Ints* quads) {
    UnpackedBlock<V> out;
    out.scale[0] = V::floats_of_low_halves(quads[0]);
    out.offset[0] = floats_of_high_halves<V>(quads[0]);
    split_nibbles<V>(quads + kBlockQuads - 4, out.weights);
    if constexpr (kWithFifthBit) add_fifth_bits<V>(out.weights, quads[1]);
    return out;
  }
};

// All of it in groups of 4 bytes, so that a few blocks are read as one row of quads.
template <typename V, bool kWithFifthBit>
struct OffsetNibbles : OffsetNibblesBlock<V, kWithFifthBit>,
                       BlocksOf<32, kWithFifthBit ? 24 : 20, InRows> {
  using Block = OffsetNibblesBlock<V, kWithFifthBit>;
  using Ints = typename V::Ints;
  static constexpr size_t kBytes = Block::kRowBytes;
  static constexpr int kQuadsEach = Block::kBlockQuads;
  static constexpr int kBlocksTogether = kWithFifthBit ? 2 : 4;  // a multiple of 16 bytes

  template <typename Use>
  static void for_each_block(const char* const* rows, size_t at, int n_blocks, Use use) {
    int b = 0;
    for (; b + kBlocksTogether <= n_blocks; b += kBlocksTogether, at += kBlocksTogether * kBytes) {
      constexpr int kAll = kBlocksTogether * kQuadsEach;
      Ints quads[kAll];
#pragma GCC unroll 8
      for (int j = 0; j < kAll; j += 4) transpose_quads<V>(rows, at + 4 * j, quads + j);
#pragma GCC unroll 8
      for (int i = 0; i < kBlocksTogether; ++i) use(b + i, Block::block(quads + i * kQuadsEach));
    }
    for (; b < n_blocks; ++b, at += kBytes) {
      // The last 16 bytes, and the first, which overlap.
      Ints quads[kQuadsEach + 4];
      Ints head[4];
      transpose_quads<V>(rows, at, head);
      transpose_quads<V>(rows, at + kBytes - 16, quads + kQuadsEach - 4);
      quads[0] = head[0];
      if constexpr (kWithFifthBit) quads[1] = head[1];
      use(b, Block::block(quads));
    }
  }
};

// Q4_0: d (16 bit), then 16 bytes of nibbles. Q5_0: fifth bits (32 bit) between them.
template <bool kWithFifthBit>
using NibblesWorth = AroundZero<kWithFifthBit ? 16 : 8, kWithFifthBit ? 31 : 15>;
template <bool kWithFifthBit>
inline constexpr size_t kNibblesBytes = kWithFifthBit ? 22 : 18;

template <typename V, bool kWithFifthBit>
struct Nibbles : NibblesWorth<kWithFifthBit>,
                 BlocksOf<32, kNibblesBytes<kWithFifthBit>, InRows>,
                 OneByOne<Nibbles<V, kWithFifthBit>> {
  [[gnu::always_inline]] static UnpackedBlock<V> block_at(const char* const* rows, size_t at) {
    typename V::Ints head[4];
    typename V::Ints quads[4];
    UnpackedBlock<V> out;
    transpose_quads<V>(rows, at, head);
    transpose_quads<V>(rows, at + kNibblesBytes<kWithFifthBit> - 16, quads);
    out.scale[0] = V::floats_of_low_halves(head[0]);
    split_nibbles<V>(quads, out.weights);
    if constexpr (kWithFifthBit) {
      // The upper half of the first quad and the lower half of the second.
      add_fifth_bits<V>(out.weights,
                        V::or_bits(V::shift_right32(head[0], 16), V::shift_left32(head[1], 16)));
    }
    return out;
  }
};

// Q8_0: d (16 bit), then 32 signed bytes.
inline constexpr size_t kSignedBytesBytes = 34;

template <typename V>
[[gnu::always_inline]] inline void from_signed(typename V::Ints* weights) {
  if constexpr (AsSignedBytes<V>::kZero != 0) {
    for (int j = 0; j < kQuads; ++j) weights[j] = V::xor_bits(weights[j], V::bytes_of(0x80));
  }
}

template <typename V>
struct SignedBytes : AsSignedBytes<V>,
                     BlocksOf<32, kSignedBytesBytes, InRows>,
                     OneByOne<SignedBytes<V>> {
  [[gnu::always_inline]] static UnpackedBlock<V> block_at(const char* const* rows, size_t at) {
    UnpackedBlock<V> out;
    typename V::Ints head[4];
    transpose_quads<V>(rows, at, head);
    transpose_quads<V>(rows, at + 2, out.weights);
    transpose_quads<V>(rows, at + 18, out.weights + 4);
    from_signed<V>(out.weights);
    out.scale[0] = V::floats_of_low_halves(head[0]);
    return out;
  }
};

}  // namespace pyserve
