// The integer product of many columns, with registers that are matrices.
//
// One instruction multiplies the activations of 16 columns (a row each) with a block of 16 rows of
// weights, which lies unpacked as it wants it: 4 weights of each row in turn. A block of 32 that
// has its own scale fills half of a register's row. The sums go through memory into floats, by the
// same operations in the same order as those of fewer columns (gemm_simd.h), so bits are the same.
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

// Registers of 16 columns, or 16 rows, by so many bytes of a column. Few, for the processor renames
// those that are not in use: with eight of them products and loads wait for each other.
struct TileRegisters {
  static constexpr int kSums = 0;  // and the next one
  static constexpr int kActivations = 2;
  static constexpr int kWeights = 3;

  static consteval TileConfig config(int n_bytes) {
    TileConfig config;
    const auto set = [&config](int tile, int n_rows, int row_bytes) {
      config.n_rows[tile] = static_cast<uint8_t>(n_rows);
      config.row_bytes[tile] = static_cast<uint16_t>(row_bytes);
    };
    set(kSums, kColumnsTogether, 4 * kGemmRows);
    set(kSums + 1, kColumnsTogether, 4 * kGemmRows);
    set(kActivations, kColumnsTogether, n_bytes);
    set(kWeights, n_bytes / 4, 4 * kGemmRows);
    return config;
  }
};

// Calls run(std::integral_constant<int, i>) for all i < kN.
template <int kN, typename Run>
[[gnu::always_inline]] inline void for_each_constant(Run run) {
  [&]<int... i>(std::integer_sequence<int, i...>) PYSERVE_INLINE {
    (run(std::integral_constant<int, i>()), ...);
  }(std::make_integer_sequence<int, kN>());
}

// Weights around zero, for the instruction takes signed bytes.
template <typename V, typename Type>
[[gnu::always_inline]] inline typename V::Ints signed_weights(const typename V::Ints& weights) {
  if constexpr (Type::kHasOffset || Type::kZero == 0) return weights;
  return V::add8(weights, V::bytes_of(-Type::kZero));
}

// Blocks with a scale each.
template <typename V, typename Type>
struct TileGemm {
  using Tiles = typename V::Tiles;
  using Simd = typename V::Simd;
  using Registers = TileRegisters;
  static constexpr int kLanes = Simd::kLanes;
  static constexpr int kBlocksTogether = 4;
  static constexpr TileConfig kConfig = Registers::config(kInt8Block);

  // What a column has for its scales, from some block on, and its sums.
  struct Column {
    const float* d;
    const int32_t* offsets;
    float* sums;
  };

  // The integer sums of some blocks.
  struct Dots {
    alignas(64) int32_t sums[kBlocksTogether][kColumnsTogether][kGemmRows];
  };

  PYSERVE_INLINE void keep(int b, const UnpackedBlock<V>& block) {
    static_assert(Type::kGroups == 1);
    blocks_[b] = block;
    for (auto& quad : blocks_[b].weights) quad = signed_weights<V, Type>(quad);
  }

  // all_sums += the product of the first blocks with all columns.
  void multiply(int first_block, int n_blocks, const Int8Columns& columns, float* all_sums) const {
    for (int c = 0; c < columns.n_columns; c += kColumnsTogether) {
      multiply_columns(first_block, n_blocks, columns, c, all_sums + c * kGemmRows);
    }
  }

 private:
  void multiply_columns(int first_block, int n_blocks, const Int8Columns& columns, int first_column,
                        float* sums) const {
    const size_t stride = column_stride(columns.n_all_k);
    const int8_t* const q = columns.q + first_column * stride + first_block * kInt8Block;
    const size_t n_column_blocks = columns.n_all_k / kInt8Block;
    const size_t first_scale = first_column * n_column_blocks + first_block;
    const float* const d = columns.d + first_scale;
    const int32_t* const offsets = columns.sums + 2 * first_scale;
    const int n_columns = std::min(kColumnsTogether, columns.n_columns - first_column);
    // While the next products are made, the last ones become floats.
    Dots dots[2];
    make_products(&blocks_[0], q, stride, std::min(kBlocksTogether, n_blocks), dots[0]);
    for (int b = 0, i = 0; b < n_blocks; b += kBlocksTogether, i ^= 1) {
      const int next = b + kBlocksTogether;
      if (next < n_blocks) {
        make_products(&blocks_[next], q + next * kInt8Block, stride,
                      std::min(kBlocksTogether, n_blocks - next), dots[i ^ 1]);
      }
      const auto add_all = [&](auto n) PYSERVE_INLINE {
        for (int c = 0; c < n_columns; ++c) {
          const size_t at = c * n_column_blocks + b;
          add_scaled(&blocks_[b], n, dots[i], c,
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

  // Of the first n of kBlocksTogether blocks.
  static void make_products(const UnpackedBlock<V>* blocks, const int8_t* q, size_t stride, int n,
                            Dots& dots) {
    for_each_constant<kBlocksTogether>([&](auto i) PYSERVE_INLINE {
      if (i() >= n) return;
      Tiles::template load<Registers::kWeights>(blocks[i()].weights, sizeof(blocks[0].weights[0]));
      Tiles::template load<Registers::kActivations>(q + i() * kInt8Block, stride);
      Tiles::template zero<Registers::kSums>();
      Tiles::template dot<Registers::kSums, Registers::kActivations, Registers::kWeights>();
      Tiles::template store<Registers::kSums>(dots.sums[i()], sizeof(dots.sums[0][0]));
    });
  }

  // column.sums += what some blocks give column c.
  [[gnu::always_inline]] static void add_scaled(const UnpackedBlock<V>* blocks, int n_blocks,
                                                const Dots& dots, int c, const Column& column) {
#pragma GCC unroll 2
    for (int p = 0; p < V::kParts; ++p) {
      auto acc = Simd::load(column.sums + p * kLanes);
      for (int b = 0; b < n_blocks; ++b) {
        const auto d = Simd::set1(column.d[b]);
        const auto scale = Simd::mul(V::float_part(blocks[b].scale[0], p), d);
        const auto dot = V::load_part(dots.sums[b][c] + p * kLanes);
        acc = Simd::fmadd(V::part_floats(dot), scale, acc);
        if constexpr (Type::kHasOffset) {
          const auto sum = Simd::set1(std::bit_cast<float>(column.offsets[2 * b]));
          acc = Simd::fmadd(V::float_part(blocks[b].offset[0], p), sum, acc);
        }
      }
      Simd::store(column.sums + p * kLanes, acc);
    }
  }

  UnpackedBlock<V> blocks_[kMaxBlocks];
};

// Super-blocks. A weight times its block's scale is a whole number of one or two digits of 8 bits,
// so that all of a super-block is added up in the registers, 64 weights at a time.
template <typename V, typename Type>
struct SuperTileGemm {
  using Ints = typename V::Ints;
  using Tiles = typename V::Tiles;
  using Simd = typename V::Simd;
  using Registers = TileRegisters;
  static constexpr int kLanes = Simd::kLanes;
  static constexpr int kBytes = 2 * kInt8Block;  // of a column, in a register
  static constexpr TileConfig kConfig = Registers::config(kBytes);

  // Digits of products that do not reach from one byte of a vector into the next are made for two
  // bytes at once.
  static constexpr int kSmallBits = 3;
  static constexpr bool kIsOne = Type::kHasOffset && Type::kTop * Type::kTopScale <= 127;
  static constexpr bool kIsSmall = Type::kHasOffset && Type::kTop * 7 <= 127;
  static constexpr int kDigits = kIsOne ? 1 : 2;
  static constexpr int kDigitBits = kIsSmall ? kSmallBits : 8;
  static_assert(!kIsSmall || kIsOne || Type::kTopScale < 64);

  // The integer sums of a super-block.
  struct Dots {
    alignas(64) int32_t sums[kDigits][kColumnsTogether][kGemmRows];
  };

  PYSERVE_INLINE void keep(int b, const UnpackedPart<V>& part) {
    scales_.keep(b, part);
    constexpr int kGroupQuads = kQuads / Type::kGroups;
    for (int group = 0; group < Type::kGroups; ++group) {
      const Digits make(part.scale[group]);
#pragma GCC unroll 8
      for (int j = group * kGroupQuads; j < (group + 1) * kGroupQuads; ++j) {
        Ints out[2];
        make(signed_weights<V, Type>(part.weights[j]), out);
        for (int digit = 0; digit < kDigits; ++digit) weights_[digit][b * kQuads + j] = out[digit];
      }
    }
  }

  // all_sums += the product of the super-block with all columns.
  void multiply(int first_block, int /*n_blocks*/, const Int8Columns& columns,
                float* all_sums) const {
    const size_t stride = column_stride(columns.n_all_k);
    const int8_t* const q = columns.q + static_cast<size_t>(first_block) * kInt8Block;
    // While the next products are made, the last ones become floats.
    Dots dots[2];
    make_products(q, stride, dots[0]);
    for (int c = 0, i = 0; c < columns.n_columns; c += kColumnsTogether, i ^= 1) {
      const int next = c + kColumnsTogether;
      if (next < columns.n_columns) make_products(q + next * stride, stride, dots[i ^ 1]);
      add_scaled(dots[i], first_block, columns, c, all_sums + static_cast<size_t>(c) * kGemmRows);
    }
  }

 private:
  // The digits of the products of bytes with their row's scale.
  struct Digits {
    PYSERVE_INLINE explicit Digits(const Ints& scale) {
      if constexpr (kIsOne) {
        halves[0] = in_both_halves(scale);
      } else if constexpr (kIsSmall) {
        halves[0] = in_both_halves(V::and_bits(scale, V::ints_of((1 << kSmallBits) - 1)));
        halves[1] = in_both_halves(V::shift_right32(scale, kSmallBits));
      } else {
        halves[0] = in_both_halves(V::and_bits(scale, V::ints_of(0xFFFF)));
      }
    }
    PYSERVE_INLINE static Ints in_both_halves(const Ints& x) {
      return V::or_bits(x, V::shift_left32(x, 16));
    }

    PYSERVE_INLINE void operator()(const Ints& x, Ints* out) const {
      if constexpr (kIsOne || kIsSmall) {
        for (int digit = 0; digit < kDigits; ++digit) out[digit] = V::mul_halves(x, halves[digit]);
      } else {
        const Ints low_byte = V::ints_of(0x00FF00FF);
        const Ints even = V::mul_halves(
            V::template shift_right16_signed<8>(V::template shift_left16<8>(x)), halves[0]);
        const Ints odd = V::mul_halves(V::template shift_right16_signed<8>(x), halves[0]);
        out[0] = V::or_bits(V::and_bits(even, low_byte), V::template shift_left16<8>(odd));
        // What the lower digit, which has a sign, leaves.
        const Ints half = V::ints_of(0x00800080);
        const Ints even_up = V::template shift_right16<8>(V::add_halves(even, half));
        const Ints odd_up = V::add_halves(odd, half);
        out[1] = V::or_bits(even_up, V::and_bits(odd_up, V::ints_of(-0x00FF0100)));
      }
    }

    Ints halves[2];
  };

  // Of kColumnsTogether columns.
  void make_products(const int8_t* q, size_t stride, Dots& dots) const {
    for_each_constant<kDigits>(
        [](auto digit) PYSERVE_INLINE { Tiles::template zero<Registers::kSums + digit()>(); });
    for (int k = 0; k < kSuperBlock / kBytes; ++k) {
      Tiles::template load<Registers::kActivations>(q + k * kBytes, stride);
      for_each_constant<kDigits>([&](auto digit) PYSERVE_INLINE {
        Tiles::template load<Registers::kWeights>(weights_[digit()] + k * kBytes / 4,
                                                  sizeof(weights_[0][0]));
        Tiles::template dot<Registers::kSums + digit(), Registers::kActivations,
                            Registers::kWeights>();
      });
    }
    for_each_constant<kDigits>([&](auto digit) PYSERVE_INLINE {
      Tiles::template store<Registers::kSums + digit()>(dots.sums[digit()],
                                                        sizeof(dots.sums[0][0]));
    });
  }

  // sums += what kColumnsTogether columns give.
  void add_scaled(const Dots& dots, int first_block, const Int8Columns& columns, int first_column,
                  float* sums) const {
    const size_t n_column_blocks = columns.n_all_k / kInt8Block;
    const size_t block = static_cast<size_t>(first_column) * n_column_blocks + first_block;
    const float* d = columns.d + block;
    const int32_t* column_sums = columns.sums + 2 * block;
    const int n = std::min(kColumnsTogether, columns.n_columns - first_column);
    for (int c = 0; c < n; ++c, sums += kGemmRows) {
#pragma GCC unroll 2
      for (int p = 0; p < V::kParts; ++p) {
        auto whole = V::load_part(dots.sums[0][c] + p * kLanes);
        if constexpr (kDigits == 2) {
          const auto upper = V::load_part(dots.sums[1][c] + p * kLanes);
          whole = V::template add_shifted<kDigitBits>(whole, upper);
        }
        const auto column_scale = Simd::set1(*d);
        auto acc = Simd::load(sums + p * kLanes);
        acc = Simd::fmadd(V::part_floats(whole),
                          Simd::mul(V::float_part(scales_.d, p), column_scale), acc);
        if constexpr (Type::kHasOffset) {
          const auto scale = Simd::mul(V::float_part(scales_.d_offset, p), column_scale);
          acc = Simd::fmadd(scales_.sum_of_offsets(p, column_sums), scale, acc);
        }
        Simd::store(sums + p * kLanes, acc);
      }
      d += n_column_blocks;
      column_sums += 2 * n_column_blocks;
    }
  }

  Ints weights_[kDigits][kMaxBlocks * kQuads];  // [digit][quad][row][4]
  SuperBlockScales<Type, V> scales_;
};

}  // namespace pyserve
