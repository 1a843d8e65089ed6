// The matrix product, written once for every vector width.
//
// A panel holds kPanelDepth x kWidth weights as floats, rows in the lanes: unpacked once, it serves
// every column. A tile of columns keeps its sums in registers; a weight vector is loaded once for
// all of them, an activation is broadcast.
#pragma once

#include <algorithm>

#include "kernels/panel_gemm.h"

namespace pyserve {

template <typename Simd>
struct PanelGemm {
  using Vec = typename Simd::Vec;
  static constexpr int kLanes = Simd::kLanes;
  static constexpr int kWidth = 2 * kLanes;
  static constexpr int kColumns = Simd::kRegisters >= 32 ? 12 : 6;  // sums in registers

  template <int kN>
  static void tile(const float* panel, int n_k, const float* x, size_t stride, float* sums) {
    Vec acc[kN][2];
    for (int c = 0; c < kN; ++c) {
      acc[c][0] = Simd::load(sums + c * kWidth);
      acc[c][1] = Simd::load(sums + c * kWidth + kLanes);
    }
    for (int k = 0; k < n_k; ++k) {
      const Vec w0 = Simd::load(panel + k * kWidth);
      const Vec w1 = Simd::load(panel + k * kWidth + kLanes);
      for (int c = 0; c < kN; ++c) {
        const Vec a = Simd::set1(x[c * stride + k]);
        acc[c][0] = Simd::fmadd(w0, a, acc[c][0]);
        acc[c][1] = Simd::fmadd(w1, a, acc[c][1]);
      }
    }
    for (int c = 0; c < kN; ++c) {
      Simd::store(sums + c * kWidth, acc[c][0]);
      Simd::store(sums + c * kWidth + kLanes, acc[c][1]);
    }
  }

  // The last columns: the largest tile that fits, until none is left.
  template <int kN>
  static void rest(const float* panel, int n_k, const float* x, size_t stride, int n_columns,
                   float* sums) {
    if constexpr (kN > 0) {
      if (n_columns == kN) {
        tile<kN>(panel, n_k, x, stride, sums);
      } else {
        rest<kN - 1>(panel, n_k, x, stride, n_columns, sums);
      }
    }
  }

  static void multiply(const float* panel, int n_k, const float* x, size_t stride, int n_columns,
                       float* sums) {
    int c = 0;
    for (; c + kColumns <= n_columns; c += kColumns) {
      tile<kColumns>(panel, n_k, x + c * stride, stride, sums + c * kWidth);
    }
    rest<kColumns - 1>(panel, n_k, x + c * stride, stride, n_columns - c, sums + c * kWidth);
  }
};

}  // namespace pyserve
