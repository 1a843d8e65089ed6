// The integer product of many columns, with registers that are matrices.
//
// One instruction multiplies the activations of 16 columns (a row each) with a block of 16 rows of
// weights, which lies unpacked as it wants it: 4 weights of each row in turn. A block of 32 has its
// own scale and fills half of a register's row. The sums go through memory into floats, by the same
// operations in the same order as those of fewer columns (gemm_simd.h), so bits are the same.
//
// `V` as in gemm_simd.h, and Tiles, the instructions: AmxTiles, or a twin of them in tests.
#pragma once

#include <algorithm>
#include <bit>
#include <utility>

#include "kernels/matmul/int8/amx_tiles.h"
#include "kernels/matmul/int8/columns.h"
#include "kernels/matmul/int8/unpack.h"

namespace pyserve {

// What the registers are: the sums of kBlocksTogether blocks, then the operands, of whole blocks
// and of their halves, for types with two scales in a block.
struct TileRegisters {
  static constexpr int kSums = 0;
  static constexpr int kBlocksTogether = 4;
  static constexpr int kActivations = 4;
  static constexpr int kWeights = 5;
  static constexpr int kHalfActivations = 6;
  static constexpr int kHalfWeights = 7;
};

inline constexpr TileConfig kTileConfig = [] {
  using Registers = TileRegisters;
  TileConfig config;
  const auto set = [&config](int tile, int n_rows, int row_bytes) {
    config.n_rows[tile] = static_cast<uint8_t>(n_rows);
    config.row_bytes[tile] = static_cast<uint16_t>(row_bytes);
  };
  constexpr int kRowOfQuads = 4 * kGemmRows;
  for (int i = 0; i < Registers::kBlocksTogether; ++i) {
    set(Registers::kSums + i, kColumnsTogether, kRowOfQuads);
  }
  set(Registers::kActivations, kColumnsTogether, kInt8Block);
  set(Registers::kWeights, kQuads, kRowOfQuads);
  set(Registers::kHalfActivations, kColumnsTogether, kInt8Block / 2);
  set(Registers::kHalfWeights, kQuads / 2, kRowOfQuads);
  return config;
}();

template <typename V, typename Type>
struct TileGemm {
  using Tiles = typename V::Tiles;
  using Simd = typename V::Simd;
  using Registers = TileRegisters;
  static constexpr int kGroups = Type::kGroups;
  static constexpr int kLanes = Simd::kLanes;
  static constexpr int kBlocksTogether = Registers::kBlocksTogether / kGroups;

  // What a column has for its scales, from some block on, and its sums.
  struct Column {
    const float* d;
    const int32_t* offsets;
    float* sums;
  };

  // The integer sums of some blocks: [block * kGroups + group][column][row].
  struct Dots {
    alignas(64) int32_t sums[Registers::kBlocksTogether][kColumnsTogether][kGemmRows];
  };

  // Weights around zero, for the instruction takes signed bytes.
  static UnpackedBlock<V> prepared(UnpackedBlock<V> block) {
    if constexpr (!Type::kHasOffset && Type::kZero != 0) {
      for (auto& quad : block.weights) quad = V::add8(quad, V::bytes_of(-Type::kZero));
    }
    return block;
  }

  // all_sums += the product of the unpacked blocks with all columns.
  static void multiply(const UnpackedBlock<V>* blocks, int first_block, int n_blocks,
                       const Int8Columns& columns, float* all_sums) {
    for (int c = 0; c < columns.n_columns; c += kColumnsTogether) {
      multiply_columns(blocks, first_block, n_blocks, columns, c, all_sums + c * kGemmRows);
    }
  }

 private:
  static void multiply_columns(const UnpackedBlock<V>* blocks, int first_block, int n_blocks,
                               const Int8Columns& columns, int first_column, float* sums) {
    const size_t stride = column_stride(columns.n_k);
    const int8_t* const q = columns.q + first_column * stride + first_block * kInt8Block;
    const size_t n_column_blocks = columns.n_k / kInt8Block;
    const size_t first_scale = first_column * n_column_blocks + first_block;
    const float* const d = columns.d + first_scale;
    const int32_t* const offsets = columns.sums + 2 * first_scale;
    const int n_columns = std::min(kColumnsTogether, columns.n_columns - first_column);
    // While the next products are made, the last ones become floats.
    Dots dots[2];
    make_products(blocks, q, stride, std::min(kBlocksTogether, n_blocks));
    for (int b = 0, i = 0; b < n_blocks; b += kBlocksTogether, i ^= 1) {
      store_products(dots[i]);
      const int next = b + kBlocksTogether;
      if (next < n_blocks) {
        make_products(blocks + next, q + next * kInt8Block, stride,
                      std::min(kBlocksTogether, n_blocks - next));
      }
      const auto add_all = [&](auto n) PYSERVE_INLINE {
        for (int c = 0; c < n_columns; ++c) {
          const size_t at = c * n_column_blocks + b;
          add_scaled(blocks + b, n, dots[i], c,
                     Column{d + at, offsets + 2 * at, sums + c * kGemmRows});
        }
      };
      if (next <= n_blocks) {
        add_all(std::integral_constant<int, kBlocksTogether>());
      } else {
        add_all(n_blocks - b);
      }
    }
  }

  // Calls run(std::integral_constant<int, i>) for all i < kN.
  template <int kN, typename Run>
  [[gnu::always_inline]] static void for_each_constant(Run run) {
    [&]<int... i>(std::integer_sequence<int, i...>) PYSERVE_INLINE {
      (run(std::integral_constant<int, i>()), ...);
    }(std::make_integer_sequence<int, kN>());
  }

  // Of the first n of kBlocksTogether blocks.
  static void make_products(const UnpackedBlock<V>* blocks, const int8_t* q, size_t stride, int n) {
    constexpr int kA = kGroups == 1 ? Registers::kActivations : Registers::kHalfActivations;
    constexpr int kB = kGroups == 1 ? Registers::kWeights : Registers::kHalfWeights;
    for_each_constant<kBlocksTogether * kGroups>([&](auto i) PYSERVE_INLINE {
      constexpr int kBlock = i() / kGroups;
      constexpr int kGroup = i() % kGroups;
      if (kBlock >= n) return;
      constexpr int kSums = Registers::kSums + i();
      const auto* weights = blocks[kBlock].weights + kGroup * (kQuads / kGroups);
      Tiles::template load<kB>(weights, sizeof(weights[0]));
      Tiles::template load<kA>(q + kBlock * kInt8Block + kGroup * (kInt8Block / kGroups), stride);
      Tiles::template zero<kSums>();
      Tiles::template dot<kSums, kA, kB>();
    });
  }

  static void store_products(Dots& dots) {
    for_each_constant<Registers::kBlocksTogether>([&](auto i) PYSERVE_INLINE {
      Tiles::template store<Registers::kSums + i()>(dots.sums[i()], sizeof(dots.sums[0][0]));
    });
  }

  // column.sums += what some blocks give column c.
  [[gnu::always_inline]] static void add_scaled(const UnpackedBlock<V>* blocks, int n_blocks,
                                                const Dots& dots, int c, const Column& column) {
#pragma GCC unroll 2
    for (int p = 0; p < V::kParts; ++p) {
      auto acc = Simd::load(column.sums + p * kLanes);
      for (int b = 0; b < n_blocks; ++b) {
        for (int group = 0; group < kGroups; ++group) {
          const int32_t* from = dots.sums[b * kGroups + group][c] + p * kLanes;
          const auto d = Simd::set1(column.d[b]);
          const auto scale = Simd::mul(V::float_part(blocks[b].scale[group], p), d);
          acc = Simd::fmadd(V::part_floats(V::load_part(from)), scale, acc);
        }
        for (int group = 0; Type::kHasOffset && group < kGroups; ++group) {
          const auto sum = Simd::set1(std::bit_cast<float>(column.offsets[2 * b + group]));
          acc = Simd::fmadd(V::float_part(blocks[b].offset[group], p), sum, acc);
        }
      }
      Simd::store(column.sums + p * kLanes, acc);
    }
  }
};

}  // namespace pyserve
