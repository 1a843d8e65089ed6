// The attention loop, written once for every vector width.
//
// Cells are taken in blocks of kBlockCells:
//   1. scores[g][c] = q[g] . K[c]     several cells and heads at once, K converted once for all
//   heads
//   2. softmax      running maximum and sum; the block's scores become weights
//   3. acc[g] += weights[g][c] * V[c] V converted once for up to kHeads heads
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/attention.h"

namespace pyserve {

inline constexpr int kBlockCells = 64;

template <typename Simd>
struct Attention {
  using Vec = typename Simd::Vec;
  static constexpr int kLanes = Simd::kLanes;
  static constexpr int kHeads = 4;                                  // in registers at once
  static constexpr int kTileVecs = Simd::kRegisters >= 32 ? 4 : 2;  // of V in registers at once

  static const uint16_t* row(const char* base, size_t stride, int32_t cell) {
    return reinterpret_cast<const uint16_t*>(base + static_cast<size_t>(cell) * stride);
  }

  // Scores of kQ heads from `q` against kCells cells: kQ * kCells <= kLanes.
  template <int kQ, int kCells>
  static void score_tile(const HeadGroup& group, const float* q, const int32_t* cells,
                         float* scores) {
    const uint16_t* k[kCells];
    for (int c = 0; c < kCells; ++c) k[c] = row(group.k, group.k_stride, cells[c]);
    Vec acc[kLanes];
    for (Vec& sum : acc) sum = Simd::zero();
    for (int d = 0; d < group.n_k; d += kLanes) {
      Vec kv[kCells];
      for (int c = 0; c < kCells; ++c) kv[c] = Simd::load_f16(k[c] + d);
      for (int g = 0; g < kQ; ++g) {
        const Vec qv = Simd::load(q + static_cast<size_t>(g) * group.n_k + d);
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

  template <int kQ>
  static void score_heads(const HeadGroup& group, const float* q, const int32_t* cells, int n_cells,
                          float* scores) {
    constexpr int kCells = kLanes / kQ;
    int c = 0;
    for (; c + kCells <= n_cells; c += kCells) {
      score_tile<kQ, kCells>(group, q, cells + c, scores + c);
    }
    for (; c < n_cells; ++c) score_tile<kQ, 1>(group, q, cells + c, scores + c);
  }

  static void score(const HeadGroup& group, const int32_t* cells, int n_cells, float* scores) {
    for (int g = 0; g < group.n_q; g += kHeads) {
      const float* q = group.q + static_cast<size_t>(g) * group.n_k;
      float* out = scores + g * kBlockCells;
      switch (std::min(kHeads, group.n_q - g)) {
        case 1:
          score_heads<1>(group, q, cells, n_cells, out);
          break;
        case 2:
          score_heads<2>(group, q, cells, n_cells, out);
          break;
        case 3:
          score_heads<3>(group, q, cells, n_cells, out);
          break;
        default:
          score_heads<4>(group, q, cells, n_cells, out);
      }
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
  template <int kQ, int kVecs>
  static void mix_tile(const HeadGroup& group, const int32_t* cells, int n_cells,
                       const float* weights, int d, float* acc) {
    Vec out[kQ][kVecs];
    for (int g = 0; g < kQ; ++g) {
      for (int i = 0; i < kVecs; ++i) out[g][i] = Simd::load(acc + g * group.n_v + d + i * kLanes);
    }
    for (int c = 0; c < n_cells; ++c) {
      const uint16_t* v = row(group.v, group.v_stride, cells[c]) + d;
      Vec vv[kVecs];
      for (int i = 0; i < kVecs; ++i) vv[i] = Simd::load_f16(v + i * kLanes);
      for (int g = 0; g < kQ; ++g) {
        const Vec weight = Simd::set1(weights[g * kBlockCells + c]);
        for (int i = 0; i < kVecs; ++i) out[g][i] = Simd::fmadd(weight, vv[i], out[g][i]);
      }
    }
    for (int g = 0; g < kQ; ++g) {
      for (int i = 0; i < kVecs; ++i) Simd::store(acc + g * group.n_v + d + i * kLanes, out[g][i]);
    }
  }

  template <int kQ>
  static void mix_heads(const HeadGroup& group, const int32_t* cells, int n_cells,
                        const float* weights, float* acc) {
    int d = 0;
    for (; d + kTileVecs * kLanes <= group.n_v; d += kTileVecs * kLanes) {
      mix_tile<kQ, kTileVecs>(group, cells, n_cells, weights, d, acc);
    }
    for (; d < group.n_v; d += kLanes) mix_tile<kQ, 1>(group, cells, n_cells, weights, d, acc);
  }

  static void mix(const HeadGroup& group, const int32_t* cells, int n_cells, const float* weights,
                  float* acc) {
    for (int g = 0; g < group.n_q; g += kHeads) {
      const float* w = weights + g * kBlockCells;
      float* out = acc + static_cast<size_t>(g) * group.n_v;
      switch (std::min(kHeads, group.n_q - g)) {
        case 1:
          mix_heads<1>(group, cells, n_cells, w, out);
          break;
        case 2:
          mix_heads<2>(group, cells, n_cells, w, out);
          break;
        case 3:
          mix_heads<3>(group, cells, n_cells, w, out);
          break;
        default:
          mix_heads<4>(group, cells, n_cells, w, out);
      }
    }
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

  static void attend(const HeadGroup& group, const int32_t* cells, int n_cells,
                     const Partial& partial) {
    float scores[kMaxGroup * kBlockCells];
    for (int begin = 0; begin < n_cells; begin += kBlockCells) {
      const int n = std::min(kBlockCells, n_cells - begin);
      score(group, cells + begin, n, scores);
      for (int g = 0; g < group.n_q; ++g) {
        soften(scores + g * kBlockCells, n, group.n_v, partial.max[g], partial.sum[g],
               partial.acc + static_cast<size_t>(g) * group.n_v);
      }
      mix(group, cells + begin, n, scores, partial.acc);
    }
  }
};

}  // namespace pyserve
