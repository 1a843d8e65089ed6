// The attention loop, written once for every vector width.
//
// Cells are taken in blocks of kBlockCells:
//   1. scores[g][c] = q[g] . K[c]     several cells and heads at once, K converted once for all;
//                                     with many heads K is transposed first, see score_many;
//                                     then soft-capping and ALiBi
//   2. softmax      running maximum and sum; the block's scores become weights
//   3. acc[g] += weights[g][c] * V[c] V converted once for up to kMixHeads heads
// While 1 is computed the block's V is fetched, and K of the next block during 3.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "kernels/attention/ahead.h"
#include "kernels/attention/attention.h"
#include "kernels/attention/cell_row.h"

namespace pyserve {

template <typename Simd>
struct Attention {
  using Vec = typename Simd::Vec;
  static constexpr int kLanes = Simd::kLanes;
  static constexpr int kHeads = 4;                                  // in registers at once
  static constexpr int kMixHeads = Simd::kRegisters >= 32 ? 6 : 4;  // the same for V
  static constexpr int kManyHeads = kLanes >= 16 ? 20 : 12;  // from here on transposing K pays
  static constexpr int kMostDims = Simd::kRegisters >= 32 ? 256 : 128;  // of K when transposed
  static constexpr int kTileVecs = Simd::kRegisters >= 32 ? 4 : 2;      // of V in registers at once

  // Cells that are computed at once, and what is fetched meanwhile.
  struct Block {
    const int32_t* cells;
    int n_cells;
    Ahead ahead;
  };

  static size_t row_bytes(CellType type, int n_numbers) {
    const auto n = static_cast<size_t>(n_numbers);
    const size_t n_blocks = n / kRowBlock;
    switch (type) {
      case CellType::kF32:
        return n * sizeof(float);
      case CellType::kF16:
      case CellType::kBf16:
        return n * sizeof(uint16_t);
      case CellType::kQ80:
        return n_blocks * (sizeof(uint16_t) + kRowBlock);
      case CellType::kQ40:
        return n_blocks * (sizeof(uint16_t) + kRowBlock / 2);
    }
    return 0;
  }

  static const char* row(const char* base, size_t stride, int32_t cell) {
    return base + static_cast<size_t>(cell) * stride;
  }

  // Scores of kQ heads from `q` against kCells cells: kQ * kCells <= kLanes.
  template <typename Row, int kQ, int kCells>
  static void score_tile(const HeadGroup& group, const float* q, const int32_t* cells,
                         float* scores) {
    const char* k[kCells];
    for (int c = 0; c < kCells; ++c) {
      k[c] = row(group.k, group.k_stride, cells[c]);
      // NOTE: or GCC multiplies four of them in a vector, which takes longer than one by one.
      asm("" : "+r"(k[c]));
    }
    // NOTE: what is not unrolled at once is kept in memory, and so are then all sums.
    Vec acc[kLanes];
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) acc[i] = Simd::zero();
    for (int d = 0; d < group.n_k; d += kLanes) {
      Vec kv[kCells];
#pragma GCC unroll 16
      for (int c = 0; c < kCells; ++c) kv[c] = Row::load(k[c], d);
#pragma GCC unroll 16
      for (int g = 0; g < kQ; ++g) {
        const Vec qv = Simd::load(q + static_cast<size_t>(g) * group.n_k + d);
#pragma GCC unroll 16
        for (int c = 0; c < kCells; ++c) {
          acc[g * kCells + c] = Simd::fmadd(qv, kv[c], acc[g * kCells + c]);
        }
      }
    }
    float sums[kLanes];
    Simd::store(sums, Simd::reduce_add_all(acc));
    for (int g = 0; g < kQ; ++g) {
      for (int c = 0; c < kCells; ++c) scores[g * kBlockCells + c] = sums[g * kCells + c];
    }
  }

  template <typename Row, int kQ>
  static void score_heads(const HeadGroup& group, const float* q, const int32_t* cells, int n_cells,
                          float* scores, const Ahead& ahead) {
    constexpr int kCells = kLanes / kQ;
    int c = 0;
    for (; c + kCells <= n_cells; c += kCells) {
      for (int i = 0; i < kCells; ++i) ahead.fetch(c + i);
      score_tile<Row, kQ, kCells>(group, q, cells + c, scores + c);
    }
    for (; c < n_cells; ++c) {
      ahead.fetch(c);
      score_tile<Row, kQ, 1>(group, q, cells + c, scores + c);
    }
  }

  // Calls f(first, n), n a constant, for all of n_heads: kMost at once, then the rest.
  template <int kMost, typename F>
  static void in_groups(int n_heads, F f, int first = 0) {
    for (; first + kMost <= n_heads; first += kMost) f(first, std::integral_constant<int, kMost>());
    if constexpr (kMost > 1) in_groups<kMost - 1>(n_heads, f, first);
  }

  template <typename Row>
  static void score_few(const HeadGroup& group, const int32_t* cells, int n_cells, float* scores,
                        const Ahead& ahead) {
    in_groups<kHeads>(group.n_q, [&](int g, auto n) {
      score_heads<Row, n>(group, group.q + static_cast<size_t>(g) * group.n_k, cells, n_cells,
                          scores + g * kBlockCells, g == 0 ? ahead : Ahead());
    });
  }

  // `k_lanes`[d] = element d of K of kLanes cells.
  template <typename Row>
  static void transpose_k(const HeadGroup& group, const int32_t* cells, float* k_lanes) {
    for (int d = 0; d < group.n_k; d += kLanes) {
      Vec square[kLanes];
      for (int c = 0; c < kLanes; ++c) {
        square[c] = Row::load(row(group.k, group.k_stride, cells[c]), d);
      }
      Simd::transpose(square);
      for (int i = 0; i < kLanes; ++i) Simd::store(k_lanes + (d + i) * kLanes, square[i]);
    }
  }

  // What score_tile has in lanes kSumOrder[kFirst, kFirst + kCount) before it adds them up, added
  // up in the same order: here a lane is a cell.
  template <int kQ, int kFirst, int kCount>
  [[gnu::always_inline]] static inline void sum_lanes(const float* q, int n_k, const float* k_lanes,
                                                      Vec* sums) {
    if constexpr (kCount == 1) {
      for (int g = 0; g < kQ; ++g) sums[g] = Simd::zero();
      for (int d = Simd::kSumOrder[kFirst]; d < n_k; d += kLanes) {
        const Vec kv = Simd::load(k_lanes + d * kLanes);
        for (int g = 0; g < kQ; ++g) {
          sums[g] = Simd::fmadd(Simd::set1(q[static_cast<size_t>(g) * n_k + d]), kv, sums[g]);
        }
      }
    } else {
      Vec others[kQ];
      sum_lanes<kQ, kFirst, kCount / 2>(q, n_k, k_lanes, sums);
      sum_lanes<kQ, kFirst + kCount / 2, kCount / 2>(q, n_k, k_lanes, others);
      for (int g = 0; g < kQ; ++g) sums[g] = Simd::add(sums[g], others[g]);
    }
  }

  // n_cells: a multiple of kLanes.
  template <typename Row>
  static void score_many(const HeadGroup& group, const int32_t* cells, int n_cells, float* scores,
                         const Ahead& ahead) {
    alignas(64) float k_lanes[kMostDims * kLanes];
    for (int c = 0; c < n_cells; c += kLanes) {
      for (int i = 0; i < kLanes; ++i) ahead.fetch(c + i);
      transpose_k<Row>(group, cells + c, k_lanes);
      in_groups<kHeads>(group.n_q, [&](int g, auto n) {
        Vec sums[n];
        sum_lanes<n, 0, kLanes>(group.q + static_cast<size_t>(g) * group.n_k, group.n_k, k_lanes,
                                sums);
        for (int i = 0; i < n; ++i) Simd::store(scores + (g + i) * kBlockCells + c, sums[i]);
      });
    }
  }

  template <typename Row>
  static void score(const HeadGroup& group, const int32_t* cells, int n_cells, float* scores,
                    const Ahead& ahead) {
    const bool is_many = group.n_q >= kManyHeads && group.n_k <= kMostDims;
    const int n_many = is_many ? n_cells / kLanes * kLanes : 0;
    if (n_many > 0) score_many<Row>(group, cells, n_many, scores, ahead);
    if (n_many == n_cells) return;
    score_few<Row>(group, cells + n_many, n_cells - n_many, scores + n_many, ahead.after(n_many));
  }

  // tanh(x) = (e^x - e^-x) / (e^x + e^-x), both made smaller by e^|x|.
  static Vec tanh(Vec x) {
    const Vec minus = Simd::sub(Simd::zero(), x);
    const Vec size = Simd::max(x, minus);
    const Vec a = Simd::exp(Simd::sub(x, size));
    const Vec b = Simd::exp(Simd::sub(minus, size));
    return Simd::div(Simd::sub(a, b), Simd::add(a, b));
  }

  static void cap(const HeadGroup& group, int n_cells, float* scores) {
    for (int g = 0; g < group.n_q; ++g, scores += kBlockCells) {
      for (int c = 0; c < n_cells; c += kLanes) {
        const Vec capped = tanh(Simd::load(scores + c));
        Simd::store(scores + c, Simd::mul(capped, Simd::set1(group.soft_cap)));
      }
    }
  }

  // `distances` = those of the block's cells.
  static void slope(const HeadGroup& group, const float* distances, int n_cells, float* scores) {
    for (int g = 0; g < group.n_q; ++g, scores += kBlockCells) {
      for (int c = 0; c < n_cells; ++c) scores[c] += group.slopes[g] * distances[c];
    }
  }

  static void scale(float* acc, int n_v, float by) {
    const Vec factor = Simd::set1(by);
    for (int d = 0; d < n_v; d += kLanes) {
      Simd::store(acc + d, Simd::mul(Simd::load(acc + d), factor));
    }
  }

  // Turns one head's scores into weights and rescales what it has so far.
  static void soften(float* scores, int n_cells, int n_v, float& max, float& sum, float* acc) {
    const int n_padded = (n_cells + kLanes - 1) / kLanes * kLanes;
    std::fill(scores + n_cells, scores + n_padded, -std::numeric_limits<float>::infinity());
    Vec top = Simd::load(scores);
    for (int c = kLanes; c < n_padded; c += kLanes) top = Simd::max(top, Simd::load(scores + c));
    const float new_max = std::max(max, Simd::reduce_max(top));
    if (new_max > max) {
      if (sum > 0) {
        const float shrink = std::exp(max - new_max);
        sum *= shrink;
        scale(acc, n_v, shrink);
      }
      max = new_max;
    }
    Vec total = Simd::zero();
    for (int c = 0; c < n_padded; c += kLanes) {
      const Vec weight = Simd::exp(Simd::sub(Simd::load(scores + c), Simd::set1(max)));
      Simd::store(scores + c, weight);
      total = Simd::add(total, weight);
    }
    sum += Simd::reduce_add(total);
  }

  // acc[g][0, kVecs lanes) of kQ heads.
  template <typename Row, int kQ, int kVecs>
  static void mix_tile(const HeadGroup& group, const Block& block, const float* weights, int d,
                       float* acc) {
    const Ahead ahead = d == 0 ? block.ahead : Ahead();
    Vec out[kQ][kVecs];
#pragma GCC unroll 8
    for (int g = 0; g < kQ; ++g) {
#pragma GCC unroll 8
      for (int i = 0; i < kVecs; ++i) out[g][i] = Simd::load(acc + g * group.n_v + d + i * kLanes);
    }
    for (int c = 0; c < block.n_cells; ++c) {
      ahead.fetch(c);
      const char* v = row(group.v, group.v_stride, block.cells[c]);
      Vec vv[kVecs];
#pragma GCC unroll 8
      for (int i = 0; i < kVecs; ++i) vv[i] = Row::load(v, d + i * kLanes);
#pragma GCC unroll 8
      for (int g = 0; g < kQ; ++g) {
        const Vec weight = Simd::set1(weights[g * kBlockCells + c]);
#pragma GCC unroll 8
        for (int i = 0; i < kVecs; ++i) out[g][i] = Simd::fmadd(weight, vv[i], out[g][i]);
      }
    }
#pragma GCC unroll 8
    for (int g = 0; g < kQ; ++g) {
#pragma GCC unroll 8
      for (int i = 0; i < kVecs; ++i) Simd::store(acc + g * group.n_v + d + i * kLanes, out[g][i]);
    }
  }

  template <typename Row, int kQ>
  static void mix_heads(const HeadGroup& group, const Block& block, const float* weights,
                        float* acc) {
    int d = 0;
    for (; d + kTileVecs * kLanes <= group.n_v; d += kTileVecs * kLanes) {
      mix_tile<Row, kQ, kTileVecs>(group, block, weights, d, acc);
    }
    for (; d < group.n_v; d += kLanes) mix_tile<Row, kQ, 1>(group, block, weights, d, acc);
  }

  template <typename Row>
  static void mix(const HeadGroup& group, const Block& block, const float* weights, float* acc) {
    in_groups<kMixHeads>(group.n_q, [&](int g, auto n) {
      mix_heads<Row, n>(group, {block.cells, block.n_cells, g == 0 ? block.ahead : Ahead()},
                        weights + g * kBlockCells, acc + static_cast<size_t>(g) * group.n_v);
    });
  }

  static void merge(const Partial& more, int n_q, int n_v, const Partial& total) {
    for (int g = 0; g < n_q; ++g) {
      float* acc = total.acc + static_cast<size_t>(g) * n_v;
      const float* other = more.acc + static_cast<size_t>(g) * n_v;
      float weight = 1;
      if (more.max[g] > total.max[g]) {
        const float shrink = std::exp(total.max[g] - more.max[g]);
        scale(acc, n_v, shrink);
        total.sum[g] *= shrink;
        total.max[g] = more.max[g];
      } else {
        weight = std::exp(more.max[g] - total.max[g]);
      }
      const Vec factor = Simd::set1(weight);
      for (int d = 0; d < n_v; d += kLanes) {
        Simd::store(acc + d, Simd::fmadd(Simd::load(other + d), factor, Simd::load(acc + d)));
      }
      total.sum[g] += more.sum[g] * weight;
    }
  }

  using ScoreFn = void (*)(const HeadGroup&, const int32_t* cells, int n_cells, float* scores,
                           const Ahead& ahead);
  using MixFn = void (*)(const HeadGroup&, const Block& block, const float* weights, float* acc);
  // By CellType.
  static constexpr ScoreFn kScore[] = {&score<F32Row<Simd>>, &score<F16Row<Simd>>,
                                       &score<Bf16Row<Simd>>, &score<Q8Row<Simd>>,
                                       &score<Q4Row<Simd>>};
  static constexpr MixFn kMix[] = {&mix<F32Row<Simd>>, &mix<F16Row<Simd>>, &mix<Bf16Row<Simd>>,
                                   &mix<Q8Row<Simd>>, &mix<Q4Row<Simd>>};

  static void attend(const HeadGroup& group, const int32_t* cells, int n_cells,
                     const Partial& partial) {
    const ScoreFn score = kScore[static_cast<int>(group.k_type)];
    const MixFn mix = kMix[static_cast<int>(group.v_type)];
    const Ahead all_k = {.base = group.k,
                         .stride = group.k_stride,
                         .n_bytes = row_bytes(group.k_type, group.n_k),
                         .cells = cells,
                         .n_cells = n_cells + group.n_next};
    const Ahead all_v = {.base = group.v,
                         .stride = group.v_stride,
                         .n_bytes = row_bytes(group.v_type, group.n_v),
                         .cells = cells,
                         .n_cells = n_cells};
    alignas(64) float scores[kMaxQueries * kBlockCells];
    for (int begin = 0; begin < n_cells; begin += kBlockCells) {
      const int n = std::min(kBlockCells, n_cells - begin);
      score(group, cells + begin, n, scores, all_v.after(begin));
      if (group.soft_cap != 0) cap(group, n, scores);
      if (group.slopes != nullptr) slope(group, group.distances + begin, n, scores);
      for (int g = 0; g < group.n_q; ++g) {
        soften(scores + g * kBlockCells, n, group.n_v, partial.max[g], partial.sum[g],
               partial.acc + static_cast<size_t>(g) * group.n_v);
      }
      mix(group, {cells + begin, n, all_k.after(begin + n)}, scores, partial.acc);
    }
  }
};

}  // namespace pyserve
