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

// Registers of 16 columns, or 16 rows, by so many bytes of a column. Few are enough, for the
// processor renames them.
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

// What is multiplied with a piece of columns, and what comes of it.
template <typename Type>
struct TiledColumns {
  TiledColumns(const Int8Columns& columns, int piece, int first_column, float* all_sums) {
    const size_t place = columns.place(piece, first_column);
    q = columns.q + place * kPieceValues;
    d = columns.d + place * kPieceScales<Type>;
    column_sums = columns.sums + place * kPieceSums<Type>;
    sums = all_sums + static_cast<size_t>(first_column) * kGemmRows;
    n = std::min(kColumnsTogether, columns.n_columns - first_column);
  }

  const int8_t* q;
  const float* d;
  const int32_t* column_sums;
  float* sums;
  int n;
};

// Blocks with a scale each.
template <typename V, typename Type>
struct TileGemm {
  using Tiles = typename V::Tiles;
  using Simd = typename V::Simd;
  using Registers = TileRegisters;
  using Columns = TiledColumns<Type>;
  static constexpr int kLanes = Simd::kLanes;
  static constexpr int kTogether = 2;
  static constexpr TileConfig kConfig = Registers::config(kInt8Block);

  // The integer sums of kN blocks.
  template <int kN>
  struct Dots {
    alignas(64) int32_t sums[kN][kColumnsTogether][kGemmRows];
  };

  PYSERVE_INLINE void keep(int b, const UnpackedBlock<V>& block) {
    static_assert(Type::kGroups == 1);
    blocks_[b] = block;
    for (auto& quad : blocks_[b].weights) quad = signed_weights<V, Type>(quad);
  }

  // all_sums += the product of the first blocks with all columns.
  void multiply(int first_block, int n_blocks, const Int8Columns& columns, float* all_sums) const {
    const int piece = first_block / kMaxBlocks;
    if (n_blocks % kTogether == 0) {
      multiply_by<kTogether>(piece, n_blocks, columns, all_sums);
    } else {
      multiply_by<1>(piece, n_blocks, columns, all_sums);
    }
  }

 private:
  // kN blocks at a time. While their products are made, the last ones become floats.
  template <int kN>
  void multiply_by(int piece, int n_blocks, const Int8Columns& columns, float* all_sums) const {
    Columns last(columns, piece, 0, all_sums);
    int last_block = 0;
    Dots<kN> dots[2];
    make_products<kN>(0, last.q, dots[0], [](int) {});
    int i = 0;
    for (int c = 0; c < columns.n_columns; c += kColumnsTogether) {
      const Columns next(columns, piece, c, all_sums);
      for (int b = c == 0 ? kN : 0; b < n_blocks; b += kN, i ^= 1) {
        const Scales<kN> scales(&blocks_[last_block]);
        make_products<kN>(b, next.q, dots[i ^ 1], [&](int product) PYSERVE_INLINE {
          constexpr int kEach = kColumnsTogether / kN;
          // The last columns may be fewer.
          if (last.n < kColumnsTogether) {
            const int end = std::min(last.n, (product + 1) * kEach);
            for (int k = product * kEach; k < end; ++k) {
              add_column<kN>(scales, dots[i], last, last_block, k);
            }
            return;
          }
#pragma GCC unroll 8
          for (int k = 0; k < kEach; ++k) {
            add_column<kN>(scales, dots[i], last, last_block, product * kEach + k);
          }
        });
        last = next;
        last_block = b;
      }
    }
    const Scales<kN> scales(&blocks_[last_block]);
    for (int c = 0; c < last.n; ++c) add_column<kN>(scales, dots[i], last, last_block, c);
  }

  // Of blocks [first, first + kN). Runs also(i) while the i-th product is made.
  template <int kN, typename Also>
  PYSERVE_INLINE void make_products(int first, const int8_t* q, Dots<kN>& dots, Also also) const {
    const UnpackedBlock<V>* const blocks = &blocks_[first];
    q += first * kInt8Block;
    for_each_constant<kN>([&](auto i) PYSERVE_INLINE {
      Tiles::template load<Registers::kWeights>(blocks[i()].weights, sizeof(blocks[0].weights[0]));
      Tiles::template load<Registers::kActivations>(q + i() * kInt8Block, kPieceValues);
      Tiles::template zero<Registers::kSums>();
      Tiles::template dot<Registers::kSums, Registers::kActivations, Registers::kWeights>();
      also(i());
      Tiles::template store<Registers::kSums>(dots.sums[i()], sizeof(dots.sums[0][0]));
    });
  }

  template <int kN>
  struct Scales {
    PYSERVE_INLINE explicit Scales(const UnpackedBlock<V>* blocks) {
#pragma GCC unroll 4
      for (int b = 0; b < kN; ++b) {
        scale[b] = blocks[b].scale[0];
        if constexpr (Type::kHasOffset) offset[b] = blocks[b].offset[0];
      }
    }
    typename V::Floats scale[kN];
    typename V::Floats offset[kN];
  };

  // The sums of column c += what blocks [first, first + kN) give.
  template <int kN>
  PYSERVE_INLINE static void add_column(const Scales<kN>& scales, const Dots<kN>& dots,
                                        const Columns& columns, int first, int c) {
    const float* const d = columns.d + c * kPieceScales<Type> + first;
    const int32_t* const column_sums = columns.column_sums + c * kPieceSums<Type> + first;
    float* const sums = columns.sums + c * kGemmRows;
#pragma GCC unroll 2
    for (int p = 0; p < V::kParts; ++p) {
      auto acc = Simd::load(sums + p * kLanes);
#pragma GCC unroll 4
      for (int b = 0; b < kN; ++b) {
        const auto scale = Simd::mul(V::float_part(scales.scale[b], p), Simd::set1(d[b]));
        const auto dot = V::load_part(dots.sums[b][c] + p * kLanes);
        acc = Simd::fmadd(V::part_floats(dot), scale, acc);
        if constexpr (Type::kHasOffset) {
          const auto sum = Simd::set1(std::bit_cast<float>(column_sums[b]));
          acc = Simd::fmadd(V::float_part(scales.offset[b], p), sum, acc);
        }
      }
      Simd::store(sums + p * kLanes, acc);
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
  using Columns = TiledColumns<Type>;
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
  static constexpr int kZero = Type::kZero;
  static constexpr bool kIsLowerUnsigned = !kIsOne && !kIsSmall;
  static_assert(Type::kHasOffset || Type::kZero > 0);  // bytes without a sign are multiplied
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
        make(part.weights[j], out);
        for (int digit = 0; digit < kDigits; ++digit) weights_[digit][b * kQuads + j] = out[digit];
      }
    }
  }

  // all_sums += the product of the super-block with all columns. While products are made, the last
  // ones become floats.
  void multiply(int first_block, int /*n_blocks*/, const Int8Columns& columns,
                float* all_sums) const {
    const int piece = first_block / kMaxBlocks;
    const SuperBlockScales<Type, V> scales = scales_;
    Columns last(columns, piece, 0, all_sums);
    Dots dots[2];
    make_products(last.q, dots[0], [](int) {});
    int i = 0;
    for (int c = kColumnsTogether; c < columns.n_columns; c += kColumnsTogether, i ^= 1) {
      const Columns next(columns, piece, c, all_sums);
      make_products(next.q, dots[i ^ 1], [&](int product) PYSERVE_INLINE {
        constexpr int kEach = kColumnsTogether / kProducts;
#pragma GCC unroll 4
        for (int k = 0; k < kEach; ++k) add_column(scales, dots[i], last, product * kEach + k);
      });
      last = next;
    }
    for (int c = 0; c < last.n; ++c) add_column(scales, dots[i], last, c);
  }

 private:
  // The digits of the products of weights with their row's scale. Of two whole bytes the upper one
  // has the sign.
  struct Digits {
    PYSERVE_INLINE explicit Digits(const Ints& scale) {
      if constexpr (kIsOne) {
        factors[0] = in_both_halves(scale);
      } else if constexpr (kIsSmall) {
        factors[0] = in_both_halves(V::and_bits(scale, V::ints_of((1 << kSmallBits) - 1)));
        factors[1] = in_both_halves(V::shift_right32(scale, kSmallBits));
      } else {
        // Of the even and of the odd bytes.
        factors[0] = in_both_halves(V::and_bits(scale, V::ints_of(0xFF)));
        factors[1] = V::template shift_left16<8>(factors[0]);
        zeros = V::mul_bytes(V::bytes_of(kZero), factors[0]);
      }
    }
    PYSERVE_INLINE static Ints in_both_halves(const Ints& x) {
      return V::or_bits(x, V::shift_left32(x, 16));
    }

    PYSERVE_INLINE void operator()(const Ints& x, Ints* out) const {
      if constexpr (kIsOne || kIsSmall) {
        for (int digit = 0; digit < kDigits; ++digit) out[digit] = V::mul_halves(x, factors[digit]);
      } else {
        Ints even = V::mul_bytes(x, factors[0]);
        Ints odd = V::mul_bytes(x, factors[1]);
        if constexpr (kZero != 0) {
          even = V::sub_halves(even, zeros);
          odd = V::sub_halves(odd, zeros);
        }
        out[0] = V::alternate_bytes(even, V::template shift_left16<8>(odd));
        out[1] = V::alternate_bytes(V::template shift_right16<8>(even), odd);
      }
    }

    Ints factors[2];
    Ints zeros;
  };

  static constexpr int kProducts = kDigits * kSuperBlock / kBytes;

  // Of kColumnsTogether columns. Runs also(i) while the i-th product is made.
  template <typename Also>
  PYSERVE_INLINE void make_products(const int8_t* q, Dots& dots, Also also) const {
    for_each_constant<kDigits>(
        [](auto digit) PYSERVE_INLINE { Tiles::template zero<Registers::kSums + digit()>(); });
    for_each_constant<kSuperBlock / kBytes>([&](auto k) PYSERVE_INLINE {
      Tiles::template load<Registers::kActivations>(q + k() * kBytes, kPieceValues);
      for_each_constant<kDigits>([&](auto digit) PYSERVE_INLINE {
        Tiles::template load<Registers::kWeights>(weights_[digit()] + k() * kBytes / 4,
                                                  sizeof(weights_[0][0]));
        if constexpr (kIsLowerUnsigned && digit() == 0) {
          Tiles::template dot_unsigned<Registers::kSums, Registers::kActivations,
                                       Registers::kWeights>();
        } else {
          Tiles::template dot<Registers::kSums + digit(), Registers::kActivations,
                              Registers::kWeights>();
        }
        also(k() * kDigits + digit());
      });
    });
    for_each_constant<kDigits>([&](auto digit) PYSERVE_INLINE {
      Tiles::template store<Registers::kSums + digit()>(dots.sums[digit()],
                                                        sizeof(dots.sums[0][0]));
    });
  }

  // The sums of column c += what the super-block gives.
  PYSERVE_INLINE static void add_column(const SuperBlockScales<Type, V>& scales, const Dots& dots,
                                        const Columns& columns, int c) {
    const auto d = Simd::set1(columns.d[c * kPieceScales<Type>]);
    float* const sums = columns.sums + c * kGemmRows;
#pragma GCC unroll 2
    for (int p = 0; p < V::kParts; ++p) {
      auto whole = V::load_part(dots.sums[0][c] + p * kLanes);
      if constexpr (kDigits == 2) {
        const auto upper = V::load_part(dots.sums[1][c] + p * kLanes);
        whole = V::template add_shifted<kDigitBits>(whole, upper);
      }
      const auto sum =
          scales.template scaled<Simd>(p, whole, columns.column_sums + c * kPieceSums<Type>);
      float* const out = sums + p * kLanes;
      Simd::store(out, Simd::fmadd(sum, d, Simd::load(out)));
    }
  }

  Ints weights_[kDigits][kMaxBlocks * kQuads];  // [digit][quad][row][4]
  SuperBlockScales<Type, V> scales_;
};

}  // namespace pyserve
