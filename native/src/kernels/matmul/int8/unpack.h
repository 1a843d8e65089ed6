// Unpacks blocks of 16 rows, of every quantized type, to bytes with the rows in the lanes.
//
// `V` is the CPU's arithmetic (gemm_simd.h says what it has). A type says what a weight is
// worth: scale * (q - kZero) when it lies around zero, or scale * q + offset (kHasOffset); the
// largest q (kTop; none for signed bytes); how many scales a block of 32 has (kGroups); how many
// weights and bytes a block in memory has, for as many rows as lie in it side by side
// (kRowsTogether).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/matmul/int8/columns.h"

namespace pyserve {

// Without it the compiler hands blocks over in memory.
#define PYSERVE_INLINE __attribute__((always_inline))

inline constexpr int kQuads = kInt8Block / 4;  // groups of 4 weights in a block
inline constexpr int kMaxBlocks = 8;           // unpacked at a time, 4 KiB

// One block of 16 rows. What Type::for_each_block() calls its function with: the block's place
// among those unpacked, and the block.
template <typename V>
struct UnpackedBlock {
  typename V::Ints weights[kQuads];  // [quad][row][4]
  typename V::Floats scale[2];       // [group]
  typename V::Floats offset[2];      // [group]
};

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

// A signed byte of each lane.
template <typename V>
[[gnu::always_inline]] inline typename V::Floats signed_byte(const typename V::Ints& x, int byte) {
  return V::floats_of(V::shift_right32_signed(V::shift_left32(x, 24 - 8 * byte), 24));
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

// Q4_1, Q5_1: d, m (16 bit), fifth bits (32 bit, Q5_1 only), then 16 bytes of nibbles. All of it
// in groups of 4 bytes, so that a few blocks are read as one row of quads.
template <typename V, bool kWithFifthBit>
struct OffsetNibbles {
  static constexpr bool kHasOffset = true;
  static constexpr int kZero = 0;
  static constexpr int kTop = kWithFifthBit ? 31 : 15;
  static constexpr int kGroups = 1;
  static constexpr size_t kBlockBytes = kWithFifthBit ? 24 : 20;
  static constexpr int kBlockWeights = 32;
  static constexpr int kRowsTogether = InRows::kRowsTogether;
  static constexpr int kBlockQuads = kBlockBytes / 4;
  static constexpr int kBlocksTogether = kWithFifthBit ? 2 : 4;  // a multiple of 16 bytes
  using Ints = typename V::Ints;

  template <typename Use>
  static void for_each_block(const char* const* rows, size_t at, int n_blocks, Use use) {
    int b = 0;
    for (; b + kBlocksTogether <= n_blocks;
         b += kBlocksTogether, at += kBlocksTogether * kBlockBytes) {
      constexpr int kAll = kBlocksTogether * kBlockQuads;
      Ints quads[kAll];
#pragma GCC unroll 8
      for (int j = 0; j < kAll; j += 4) transpose_quads<V>(rows, at + 4 * j, quads + j);
#pragma GCC unroll 8
      for (int i = 0; i < kBlocksTogether; ++i) use(b + i, block(quads + i * kBlockQuads));
    }
    for (; b < n_blocks; ++b, at += kBlockBytes) {
      // The last 16 bytes, and the first, which overlap.
      Ints quads[kBlockQuads + 4];
      Ints head[4];
      transpose_quads<V>(rows, at, head);
      transpose_quads<V>(rows, at + kBlockBytes - 16, quads + kBlockQuads - 4);
      quads[0] = head[0];
      if constexpr (kWithFifthBit) quads[1] = head[1];
      use(b, block(quads));
    }
  }

  [[gnu::always_inline]] static UnpackedBlock<V> block(const Ints* quads) {
    UnpackedBlock<V> out;
    out.scale[0] = V::floats_of_low_halves(quads[0]);
    out.offset[0] = floats_of_high_halves<V>(quads[0]);
    split_nibbles<V>(quads + kBlockQuads - 4, out.weights);
    if constexpr (kWithFifthBit) add_fifth_bits<V>(out.weights, quads[1]);
    return out;
  }
};

// Q4_0: d (16 bit), then 16 bytes of nibbles. Q5_0: fifth bits (32 bit) between them.
template <typename V, bool kWithFifthBit>
struct Nibbles {
  static constexpr bool kHasOffset = false;
  static constexpr int kZero = kWithFifthBit ? 16 : 8;
  static constexpr int kTop = kWithFifthBit ? 31 : 15;
  static constexpr int kGroups = 1;
  static constexpr size_t kBlockBytes = kWithFifthBit ? 22 : 18;
  static constexpr int kBlockWeights = 32;
  static constexpr int kRowsTogether = InRows::kRowsTogether;

  template <typename Use>
  static void for_each_block(const char* const* rows, size_t at, int n_blocks, Use use) {
    for (int b = 0; b < n_blocks; ++b, at += kBlockBytes) {
      typename V::Ints head[4];
      typename V::Ints quads[4];
      UnpackedBlock<V> out;
      transpose_quads<V>(rows, at, head);
      transpose_quads<V>(rows, at + kBlockBytes - 16, quads);
      out.scale[0] = V::floats_of_low_halves(head[0]);
      split_nibbles<V>(quads, out.weights);
      if constexpr (kWithFifthBit) {
        // The upper half of the first quad and the lower half of the second.
        add_fifth_bits<V>(out.weights,
                          V::or_bits(V::shift_right32(head[0], 16), V::shift_left32(head[1], 16)));
      }
      use(b, out);
    }
  }
};

// Q8_0: d (16 bit), then 32 signed bytes, which stay signed unless `V` has a dot product of others.
template <typename V>
struct SignedBytes {
  static constexpr bool kHasOffset = false;
  static constexpr int kZero = V::kHasDot && !V::kIsDotSigned ? 128 : 0;
  static constexpr int kTop = 255;
  static constexpr int kGroups = 1;
  static constexpr size_t kBlockBytes = 34;
  static constexpr int kBlockWeights = 32;
  static constexpr int kRowsTogether = InRows::kRowsTogether;

  template <typename Use>
  static void for_each_block(const char* const* rows, size_t at, int n_blocks, Use use) {
    for (int b = 0; b < n_blocks; ++b, at += kBlockBytes) {
      UnpackedBlock<V> out;
      typename V::Ints head[4];
      transpose_quads<V>(rows, at, head);
      transpose_quads<V>(rows, at + 2, out.weights);
      transpose_quads<V>(rows, at + 18, out.weights + 4);
      if constexpr (kZero != 0) {
        for (auto& quad : out.weights) quad = V::xor_bits(quad, V::bytes_of(0x80));
      }
      out.scale[0] = V::floats_of_low_halves(head[0]);
      use(b, out);
    }
  }
};

}  // namespace pyserve
