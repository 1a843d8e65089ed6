// The integer product, written once for every instruction set.
//
// Rows are in the lanes: 16 lanes hold 4 neighbouring weights of each of 16 rows, which are
// multiplied with 4 activations of one column and added up. After a block of 32 the integer sums
// are scaled once for all 16 rows.
//
// `V` is what the CPU can do: the lanes (`Wide512`, `Wide256`, `WideNeon`), kTile, the columns
// whose sums are in registers, from how many columns repacked Q4_K beats the vendored product, and
// kHasDot. With it dot(sums, weights, activations) adds the products of unsigned bytes (signed ones
// when kIsDotSigned) with signed ones in groups of 4; or Columns<kN, kArePaired> does, where there
// are registers to hold a block of all columns of a tile. Pairs of rows and columns may be
// multiplied at once: pair_rows(weights) then orders the weights of a block for more than one
// column. Without kHasDot products are added in 16 bits for as long as they fit, then widened:
// multiply(weights, activations), add16, add_widened(sums, products); for weights that are signed,
// magnitude(weights) and with_sign_of(activations, weights). Where the 16 lanes are two vectors and
// there are few registers, Half is the same for one of them: few columns are multiplied with 8 rows
// at a time. With registers that are matrices it has Tiles (tile_gemm.h), which multiply more than
// kTile columns.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <type_traits>

#include "kernels/matmul/int8/gemm.h"
#include "kernels/matmul/int8/tile_gemm.h"
#include "kernels/matmul/int8/unpack.h"

namespace pyserve {

template <typename V>
concept HoldsColumns = requires { typename V::template Columns<1, false>; };
template <typename V>
concept PairsRows = requires(typename V::Ints* weights) { V::pair_rows(weights); };
template <typename V>
concept HasHalf = requires { typename V::Half; };
template <typename V>
concept HasTiles = requires { typename V::Tiles; };

inline constexpr size_t kFetchAheadBytes = 32 << 10;
inline constexpr size_t kPanelFetchAheadBytes = 8 << 10;

template <typename V>
struct Int8Gemm {
  using Part = typename V::Part;
  using Simd = typename V::Simd;
  using Vec = typename Simd::Vec;
  static constexpr int kParts = V::kParts;
  static constexpr int kLanes = Simd::kLanes;
  static constexpr int kRows = kParts * kLanes;  // kGemmRows, or half of them

  // What the integer sums of block b of a piece begin with, or for weights with an offset,
  // d * sum of q; in super-blocks such weights have the sums of q, 16 bits each.
  template <typename Type>
  static void store_sums(const int32_t* halves, float d, int b, int32_t* sums) {
    if constexpr (Type::kHasOffset && kHasSuperBlocks<Type>) {
      const int16_t of_block[] = {
          static_cast<int16_t>(halves[0] + (Type::kGroups == 1 ? halves[1] : 0)),
          static_cast<int16_t>(halves[1])};
      constexpr size_t kBytes = Type::kGroups * sizeof(int16_t);
      std::memcpy(reinterpret_cast<char*>(sums) + b * kBytes, &of_block[0], kBytes);
      return;
    }
    sums += Type::kGroups * b;
    if constexpr (Type::kHasOffset) {
      sums[0] = std::bit_cast<int32_t>(d * static_cast<float>(halves[0] + halves[1]));
    } else if constexpr (Type::kGroups == 2) {
      sums[0] = -Type::kZero * halves[0];
      sums[1] = -Type::kZero * halves[1];
    } else {
      sums[0] = -Type::kZero * (halves[0] + halves[1]);
    }
  }

  template <typename Type>
  static constexpr int kRoundedTogether = kHasSuperBlocks<Type> ? kSuperBlock : kInt8Block;

  template <typename Type>
  static void quantize(const float* x, int n_k, int8_t* q, float* d, int32_t* sums) {
    for (int first = 0; first < n_k; first += kRoundedTogether<Type>) {
      const float top = V::top_of(x + first, kRoundedTogether<Type>);
      const float inverse = top == 0 ? 0 : 127.0F / top;
      const float scale = top / 127.0F;
      d[first / kRoundedTogether<Type>] = scale;
      for (int at = first; at < first + kRoundedTogether<Type>; at += kInt8Block) {
        int32_t halves[2];
        V::round32(x + at, inverse, q + at, halves);
        store_sums<Type>(halves, scale, at / kInt8Block, sums);
      }
    }
  }

  // Where a piece of kN columns is.
  template <typename Type, int kN>
  struct Tile {
    Tile(const Int8Columns& columns, int first_block, int first_column) {
      for (int c = 0; c < kN; ++c) {
        const size_t place = columns.place(first_block / kMaxBlocks, first_column + c);
        q[c] = columns.q + place * kPieceValues;
        d[c] = columns.d + place * kPieceScales<Type>;
        sums[c] = columns.sums + place * kPieceSums<Type>;
      }
    }

    PYSERVE_INLINE Part activations(int c, int b, int quad) const {
      int32_t four = 0;
      std::memcpy(&four, q[c] + b * kInt8Block + 4 * quad, sizeof(four));
      return V::part_of(four);
    }

    const int8_t* q[kN];
    const float* d[kN];
    const int32_t* sums[kN];
  };

  // The sums of all columns for 16 rows.
  template <int kN>
  using Sums = Vec[kN][kParts];
  // Of a super-block, as whole numbers.
  template <int kN>
  using WholeSums = Part[kN][kParts];

  // How many products of two bytes, twice, fit into 16 bits; a power of two.
  template <typename Type>
  static constexpr int kQuadsTogether =
      V::kHasDot ? 1
                 : std::clamp(static_cast<int>(std::bit_floor(32767U / (2U * 127U * Type::kTop))),
                              1, kQuads / Type::kGroups);

  // What the product of unpacked blocks has to know of their type, the same for several types and
  // all layouts: it is compiled once for them.
  template <bool kIsWithOffset, int kScales, int kWeights, int kTopQ>
  struct Unpacked {
    static constexpr bool kHasOffset = kIsWithOffset;
    static constexpr int kGroups = kScales;
    static constexpr int kBlockWeights = kWeights;
    static constexpr int kTop = kTopQ;  // or more, where as many products fit into 16 bits
  };
  template <typename Type>
  static consteval int top_of_unpacked() {
    if (V::kHasDot) return 0;
    return Type::kTop == 255 ? 255 : 32767 / (2 * 127 * kQuadsTogether<Type>);
  }
  template <typename Type>
  using UnpackedType =
      Unpacked<Type::kHasOffset, Type::kGroups, kHasSuperBlocks<Type> ? kSuperBlock : kInt8Block,
               top_of_unpacked<Type>()>;

  // dot[c] += products of quads [j, j + kQuadsTogether).
  template <typename Type, int kN>
  PYSERVE_INLINE static void add_products(const UnpackedOf<Type, V>& w, int p,
                                          const Tile<Type, kN>& tile, int b, int j, Part* dot) {
    if constexpr (V::kHasDot) {
      for (int c = 0; c < kN; ++c) {
        dot[c] = V::dot(dot[c], V::part(w.weights[j], p), tile.activations(c, b, j));
      }
    } else if constexpr (Type::kTop == 255) {
      const Part weights = V::part(w.weights[j], p);
      const Part magnitude = V::magnitude(weights);
      for (int c = 0; c < kN; ++c) {
        const Part x = V::with_sign_of(tile.activations(c, b, j), weights);
        dot[c] = V::add_widened(dot[c], V::multiply(magnitude, x));
      }
    } else {
      Part products[kN];
#pragma GCC unroll 8
      for (int i = 0; i < kQuadsTogether<Type>; ++i) {
        const Part weights = V::part(w.weights[j + i], p);
        for (int c = 0; c < kN; ++c) {
          const Part more = V::multiply(weights, tile.activations(c, b, j + i));
          products[c] = i == 0 ? more : V::add16(products[c], more);
        }
      }
      for (int c = 0; c < kN; ++c) dot[c] = V::add_widened(dot[c], products[c]);
    }
  }

  // The integer products of one part and group of a block of 16 rows with block b of the tile's
  // columns. `held`: these columns in registers, for a `V` that has room for them.
  template <typename Type, int kN, typename Held>  // NOLINTNEXTLINE(readability-function-size)
  PYSERVE_INLINE static void make_dots(const UnpackedOf<Type, V>& w, int p, int group,
                                       const Tile<Type, kN>& tile, int b, const Held& held,
                                       Part* dot) {
    constexpr int kGroupQuads = kQuads / Type::kGroups;
    for (int c = 0; c < kN; ++c) {
      dot[c] = V::part_of(Type::kHasOffset ? 0 : tile.sums[c][Type::kGroups * b + group]);
    }
    if constexpr (HoldsColumns<V>) {
      if (group == 0) {
        held.template add_products<0, kGroupQuads>(w.weights, p, dot);
      } else {
        held.template add_products<kQuads - kGroupQuads, kGroupQuads>(w.weights, p, dot);
      }
    } else {
#pragma GCC unroll 8
      for (int j = group * kGroupQuads; j < (group + 1) * kGroupQuads; j += kQuadsTogether<Type>) {
        add_products<Type>(w, p, tile, b, j, dot);
      }
    }
  }

  // acc += the product of one part of a block.
  template <typename Type, int kN, typename Held>
  PYSERVE_INLINE static void multiply_part(const UnpackedBlock<V>& w, int p,
                                           const Tile<Type, kN>& tile, int b, const Held& held,
                                           Sums<kN>& acc) {
    static_assert(Type::kGroups == 1);
    Part dot[kN];
    make_dots<Type, kN>(w, p, 0, tile, b, held, dot);
    const Vec block_scale = V::float_part(w.scale[0], p);
    for (int c = 0; c < kN; ++c) {
      const Vec scale = Simd::mul(block_scale, Simd::set1(tile.d[c][b]));
      acc[c][p] = Simd::fmadd(V::part_floats(dot[c]), scale, acc[c][p]);
    }
    if constexpr (Type::kHasOffset) {
      for (int c = 0; c < kN; ++c) {
        const Vec sum = Simd::set1(std::bit_cast<float>(tile.sums[c][b]));
        acc[c][p] = Simd::fmadd(V::float_part(w.offset[0], p), sum, acc[c][p]);
      }
    }
  }

  // Of a super-block, less what its offsets give.
  template <typename Type, int kN, typename Held>
  PYSERVE_INLINE static void multiply_part(const UnpackedPart<V>& w, int p,
                                           const Tile<Type, kN>& tile, int b, const Held& held,
                                           WholeSums<kN>& whole) {
#pragma GCC unroll 2
    for (int group = 0; group < Type::kGroups; ++group) {
      Part dot[kN];
      make_dots<Type, kN>(w, p, group, tile, b, held, dot);
      const Part scale = V::part(w.scale[group], p);
      for (int c = 0; c < kN; ++c) whole[c][p] = V::add_scaled(whole[c][p], dot[c], scale);
    }
  }

  // sums += the product of a block. kArePaired: its weights are as pair_rows() leaves them.
  template <typename Type, int kN, bool kArePaired = false, typename AnySums>
  PYSERVE_INLINE static void multiply_block(const UnpackedOf<Type, V>& w,
                                            const Tile<Type, kN>& tile, int b, AnySums& sums) {
    if constexpr (HoldsColumns<V>) {
      const typename V::template Columns<kN, kArePaired> held(tile.q, b * kInt8Block);
#pragma GCC unroll 4
      for (int p = 0; p < kParts; ++p) multiply_part<Type, kN>(w, p, tile, b, held, sums);
    } else {
      struct Nothing {};
#pragma GCC unroll 2
      for (int p = 0; p < kParts; ++p) multiply_part<Type, kN>(w, p, tile, b, Nothing{}, sums);
    }
  }

  // acc += the product of a super-block, of which the tile has the columns.
  template <typename Type, int kN>
  PYSERVE_INLINE static void add_super_block(const SuperBlockScales<Type, V>& scales,
                                             const Tile<Type, kN>& tile, const WholeSums<kN>& whole,
                                             Sums<kN>& acc) {
    for (int p = 0; p < kParts; ++p) {
      for (int c = 0; c < kN; ++c) {
        const Vec sum = scales.template scaled<Simd>(p, whole[c][p], tile.sums[c]);
        acc[c][p] = Simd::fmadd(sum, Simd::set1(tile.d[c][0]), acc[c][p]);
      }
    }
  }

  template <int kN>
  PYSERVE_INLINE static void load(const float* sums, Sums<kN>& acc) {
    for (int c = 0; c < kN; ++c) {
      for (int p = 0; p < kParts; ++p) {
        acc[c][p] = Simd::load(sums + c * kGemmRows + p * kLanes);
      }
    }
  }
  template <int kN>
  PYSERVE_INLINE static void store(const Sums<kN>& acc, float* sums) {
    for (int c = 0; c < kN; ++c) {
      for (int p = 0; p < kParts; ++p) {
        Simd::store(sums + c * kGemmRows + p * kLanes, acc[c][p]);
      }
    }
  }

  template <typename Type, int kN>
  static void multiply_tile(const UnpackedOf<Type, V>* blocks, int first_block, int n_blocks,
                            const Int8Columns& columns, int first_column, float* all_sums) {
    const Tile<Type, kN> tile(columns, first_block, first_column);
    float* sums = all_sums + static_cast<size_t>(first_column) * kGemmRows;
    Sums<kN> acc;
    if constexpr (kHasSuperBlocks<Type>) {
      SuperBlockScales<Type, V> scales;
      WholeSums<kN> whole;
      clear<kN>(whole);
      for (int b = 0; b < kMaxBlocks; ++b) {
        scales.keep(b, blocks[b]);
        multiply_block<Type, kN, PairsRows<V>>(blocks[b], tile, b, whole);
      }
      load<kN>(sums, acc);
      add_super_block<Type, kN>(scales, tile, whole, acc);
    } else {
      load<kN>(sums, acc);
      for (int b = 0; b < n_blocks; ++b) {
        multiply_block<Type, kN, PairsRows<V>>(blocks[b], tile, b, acc);
      }
    }
    store<kN>(acc, sums);
  }

  // all_sums += the product of the unpacked blocks with all columns.
  template <typename Type>
  static void multiply_in_registers(const UnpackedOf<Type, V>* blocks, int first_block,
                                    int n_blocks, const Int8Columns& columns, float* all_sums) {
    int c = 0;
    for (; c + V::kTile <= columns.n_columns; c += V::kTile) {
      multiply_tile<Type, V::kTile>(blocks, first_block, n_blocks, columns, c, all_sums);
    }
    with_constant<V::kTile - 1>(columns.n_columns - c, [&](auto rest) {
      multiply_tile<Type, rest()>(blocks, first_block, n_blocks, columns, c, all_sums);
    });
  }

  // Into the second cache, for the first one is full.
  static void fetch(const char* from, size_t n_bytes) {
    for (size_t line = 0; line < n_bytes; line += 64) V::prefetch(from + line);
  }

  // Calls run(std::integral_constant<int, n>) for n < kN.
  template <int kN, typename Run>
  static void with_constant(int n, Run run) {
    if constexpr (kN > 0) {
      if (n == kN) {
        run(std::integral_constant<int, kN>());
      } else {
        with_constant<kN - 1>(n, run);
      }
    }
  }

  // How memory is asked for ahead of its use. Rows follow each other in memory, and so do the 16
  // rows of the next calls.
  enum class Fetching : uint8_t {
    kByBlock,  // a block's worth with each: asked for at once, lines wait for each other
    kByPiece,  // with each kMaxBlocks blocks, where blocks are not read from one end to the other
    kByCpu,    // it runs far enough ahead where little is done with each byte: for one column of
               // bytes in wide registers, asking beside it costs 5 %
  };
  template <typename Type, int kN>
  static constexpr Fetching fetching() {
    // With tiles: on Sapphire Rapids lines that are not asked for at once gain 15 to 30 % for few
    // columns, on Zen 5 they lose up to 13 %.
    constexpr bool kIsScattered = Type::kGroups == 2 && !HasTiles<V>;
    const bool is_file_of_few = Type::kRowsTogether == 1 && kN <= V::kTile;
    if (kRows < kGemmRows || is_file_of_few) return Fetching::kByBlock;
    if (Type::kRowsTogether < kGemmRows || kIsScattered) return Fetching::kByPiece;
    constexpr size_t kWeightBytes = kGemmRows * Type::kBlockWeights;
    const bool is_little = kN == 1 && Type::kBlockBytes > kWeightBytes && kParts == 1;
    return is_little ? Fetching::kByCpu : Fetching::kByBlock;
  }

  // How far ahead kByBlock asks: of a file's rows for the next ones, at the same place in them.
  template <typename Type>
  static size_t fetch_ahead_bytes(const char* const* rows) {
    if constexpr (Type::kRowsTogether == kGemmRows) return kPanelFetchAheadBytes;
    const size_t n_together = std::max<size_t>(kRows * (rows[1] - rows[0]), 1);
    return (kPanelFetchAheadBytes + n_together - 1) / n_together * n_together;
  }

  // Asks for a block's worth, for block `b` of those that begin `at` bytes into the rows.
  template <typename Type>
  PYSERVE_INLINE static void fetch_block(const char* const* rows, size_t at, int b, size_t ahead) {
    constexpr size_t kAcross = Type::kRowsTogether == kGemmRows ? 1 : kRows;
    constexpr size_t kBytes = kAcross * Type::kBlockBytes * kInt8Block / Type::kBlockWeights;
    const char* const from = rows[0] + kAcross * at + static_cast<size_t>(b) * kBytes + ahead;
#pragma GCC unroll 16
    for (size_t line = 0; line < kBytes; line += 64) __builtin_prefetch(from + line);
  }

  // Runs for each kMaxBlocks blocks.
  template <typename Type, Fetching kFetching, typename Run>
  static void for_each_piece(const char* const* rows, int n_blocks, Run run) {
    constexpr bool kIsPanel = Type::kRowsTogether == kGemmRows;
    constexpr int kBlocksEach = Type::kBlockWeights / kInt8Block;
    constexpr int kBlocksAcross = kGemmRows / Type::kRowsTogether;
    for (int first = 0; first < n_blocks; first += kMaxBlocks) {
      const int n = std::min(kMaxBlocks, n_blocks - first);
      const size_t at = static_cast<size_t>(first / kBlocksEach) * Type::kBlockBytes;
      if constexpr (kFetching == Fetching::kByPiece) {
        fetch(rows[0] + at * kBlocksAcross + (kIsPanel ? kPanelFetchAheadBytes : kFetchAheadBytes),
              n / kBlocksEach * Type::kBlockBytes * kBlocksAcross);
      }
      run(first, n, at);
    }
  }

  template <int kN>
  PYSERVE_INLINE static void clear(Sums<kN>& acc) {
    for (auto& parts : acc) {
      for (Vec& part : parts) part = Simd::set1(0);
    }
  }
  template <int kN>
  PYSERVE_INLINE static void clear(WholeSums<kN>& whole) {
    for (auto& parts : whole) {
      for (Part& part : parts) part = V::part_of(0);
    }
  }

  // acc += the product of blocks [first, first + n), which begin `at` bytes into the rows; each
  // stays in registers for all columns.
  template <typename Type, int kN, Fetching kFetching>  // NOLINTNEXTLINE(readability-function-size)
  PYSERVE_INLINE static void multiply_piece(const char* const* rows, const Int8Columns& columns,
                                            int first, int n, size_t at, size_t ahead,
                                            Sums<kN>& acc) {
    const Tile<Type, kN> tile(columns, first, 0);
    const auto add_all = [&](auto& sums, auto keep) PYSERVE_INLINE {
      using Block = UnpackedOf<Type, V>;
      Type::for_each_block(rows, at, n, [&](int b, const Block& block) PYSERVE_INLINE {
        if constexpr (kFetching == Fetching::kByBlock) fetch_block<Type>(rows, at, b, ahead);
        keep(b, block);
        if constexpr (PairsRows<V> && kN > 1) {
          Block paired = block;
          V::pair_rows(paired.weights);
          multiply_block<Type, kN, true>(paired, tile, b, sums);
        } else {
          multiply_block<Type, kN>(block, tile, b, sums);
        }
      });
    };
    if constexpr (kHasSuperBlocks<Type>) {
      SuperBlockScales<Type, V> scales;
      WholeSums<kN> whole;
      clear<kN>(whole);
      add_all(whole, [&](int b, const auto& block) PYSERVE_INLINE { scales.keep(b, block); });
      add_super_block<Type, kN>(scales, tile, whole, acc);
    } else {
      add_all(acc, [](int, const auto&) PYSERVE_INLINE {});
    }
  }

  // Few columns, and kRows rows.
  template <typename Type, int kN>
  static void multiply_few(const char* const* rows, const Int8Columns& columns, float* sums) {
    Sums<kN> acc;
    clear<kN>(acc);
    constexpr Fetching kFetching = fetching<Type, kN>();
    const size_t ahead = fetch_ahead_bytes<Type>(rows);
    const auto run = [&](int first, int n, size_t at) {
      multiply_piece<Type, kN, kFetching>(rows, columns, first, n, at, ahead, acc);
    };
    for_each_piece<Type, kFetching>(rows, columns.n_k / kInt8Block, run);
    store<kN>(acc, sums);
  }

  // Few columns, half of the rows at a time: rows of a file from one end to the other, of a panel
  // while a piece of it is in the first cache.
  template <typename Type, int kN>
  static void multiply_halves(const char* const* rows, const Int8Columns& columns, float* sums) {
    using Gemm = Int8Gemm<typename V::Half>;
    using HalfType = WithLanes<Type, typename V::Half>;
    constexpr int kHalf = Gemm::kRows;
    if constexpr (Type::kRowsTogether == 1) {
      for (int first = 0; first < kGemmRows; first += kHalf) {
        Gemm::template multiply_few<HalfType, kN>(rows + first, columns, sums + first);
      }
    } else {
      using HalfFetching = typename Gemm::Fetching;
      const char* const halves[] = {rows[0], rows[0] + 4 * kHalf};
      typename Gemm::template Sums<kN> acc[2];
      for (auto& half : acc) Gemm::template clear<kN>(half);
      const auto run = [&](int first, int n, size_t at) {
        Gemm::template multiply_piece<HalfType, kN, HalfFetching::kByBlock>(
            &halves[0], columns, first, n, at, kPanelFetchAheadBytes, acc[0]);
        Gemm::template multiply_piece<HalfType, kN, HalfFetching::kByCpu>(&halves[1], columns,
                                                                          first, n, at, 0, acc[1]);
      };
      for_each_piece<Type, Fetching::kByBlock>(rows, columns.n_k / kInt8Block, run);
      for (int i = 0; i < 2; ++i) Gemm::template store<kN>(acc[i], sums + i * kHalf);
    }
  }

  // Blocks as they are multiplied with many columns.
  template <typename Type>
  struct BlocksInRegisters {
    PYSERVE_INLINE void keep(int b, const UnpackedOf<Type, V>& block) {
      blocks[b] = block;
      if constexpr (PairsRows<V>) V::pair_rows(blocks[b].weights);
    }
    void multiply(int first, int n, const Int8Columns& columns, float* sums) const {
      multiply_in_registers<UnpackedType<Type>>(blocks, first, n, columns, sums);
    }

    UnpackedOf<Type, V> blocks[kMaxBlocks];
  };

  template <typename Type, bool kInTiles = HasTiles<V>>
  struct BlocksFor {
    using type = BlocksInRegisters<Type>;
  };
  template <typename Type>
  struct BlocksFor<Type, true> {
    using type =
        std::conditional_t<kHasSuperBlocks<Type>, SuperTileGemm<V, Type>, TileGemm<V, Type>>;
  };
  template <typename Type>
  using Blocks = typename BlocksFor<Type>::type;

  template <typename Type>
  static void multiply_many(const char* const* rows, const Int8Columns& columns, float* sums) {
    if (!columns.is_more()) {
      std::fill_n(sums, static_cast<size_t>(columns.n_columns) * kGemmRows, 0.0F);
    }
    Blocks<Type> unpacked;
    constexpr Fetching kFetching = fetching<Type, V::kTile + 1>();
    const size_t ahead = fetch_ahead_bytes<Type>(rows);
    const auto run = [&](int first, int n, size_t at) {
      using Block = UnpackedOf<Type, V>;
      Type::for_each_block(rows, at, n, [&](int b, const Block& block) PYSERVE_INLINE {
        if constexpr (kFetching == Fetching::kByBlock) fetch_block<Type>(rows, at, b, ahead);
        unpacked.keep(b, block);
      });
      unpacked.multiply(first, n, columns, sums);
    };
    for_each_piece<Type, kFetching>(rows, columns.n_k / kInt8Block, run);
  }

  template <typename Type>
  static void multiply(const char* const* rows, const Int8Columns& columns, float* sums) {
    if (columns.n_columns > V::kTile) {
      multiply_many<Type>(rows, columns, sums);
    } else {
      with_constant<V::kTile>(columns.n_columns, [&](auto n) {
        if constexpr (HasHalf<V> && Type::kRowsTogether != InX8::kRowsTogether) {
          multiply_halves<Type, n()>(rows, columns, sums);
        } else {
          multiply_few<Type, n()>(rows, columns, sums);
        }
      });
    }
  }

  static void deal_out(const char* const* rows, size_t n_bytes, char* out) {
    constexpr size_t kQuadBytes = 4 * kGemmRows;
    size_t at = 0;
    for (; at + 16 <= n_bytes; at += 16) {
      typename V::Ints quads[4];
      transpose_quads<V>(rows, at, quads);
      for (const auto& quad : quads) {
        V::store(quad, out);
        out += kQuadBytes;
      }
    }
    for (; at < n_bytes; at += 4) {
      for (int row = 0; row < kGemmRows; ++row, out += 4) std::memcpy(out, rows[row] + at, 4);
    }
  }

  template <typename Type>
  static consteval Int8Kernel kernel(int n_min_columns) {
    Int8Kernel kernel{n_min_columns, &quantize<Type>, &multiply<Type>};
    kernel.n_rounded_together = kRoundedTogether<Type>;
    kernel.n_scales = kPieceScales<Type>;
    kernel.n_sums = kPieceSums<Type>;
    if constexpr (HasTiles<V>) {
      kernel.begin = [] { V::Tiles::configure(Blocks<Type>::kConfig); };
      kernel.end = [] { V::Tiles::release(); };
      kernel.n_plain_columns = V::kTile;
    }
    return kernel;
  }
};

}  // namespace pyserve
