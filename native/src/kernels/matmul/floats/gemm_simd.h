// The product of weights that are 16-bit floats, written once for every instruction set.
//
// Elements of rows and columns are in the lanes. A tile of rows and columns has its sums in
// registers: a lane adds its products in the order of the elements, and the lanes are added in the
// same order for all, so a column has the same bits in any batch.
//
// `A` is how: Number, what the elements of columns become; convert(x, n, out) makes them; kStep
// elements at once; load_row(row, k), load_column(column, k), add_products(weights, column, sums);
// and Simd, the vectors that sums are.
#pragma once

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "kernels/matmul/int8/gemm.h"

namespace pyserve {

template <typename S>
struct FloatColumns {
  using Simd = S;
  using Number = float;
  static constexpr int kStep = S::kLanes;

  static void convert(const float* x, int n, float* out) { std::copy_n(x, n, out); }
  static typename S::Vec load_column(const float* column, int k) { return S::load(column + k); }
  static typename S::Vec add_products(typename S::Vec weights, typename S::Vec column,
                                      typename S::Vec sums) {
    return S::fmadd(weights, column, sums);
  }
};

template <typename S>
struct F16Rows : FloatColumns<S> {
  static typename S::Vec load_row(const char* row, int k) {
    return S::load_f16(reinterpret_cast<const uint16_t*>(row) + k);
  }
};

template <typename S>
struct Bf16Rows : FloatColumns<S> {
  static typename S::Vec load_row(const char* row, int k) {
    return S::load_bf16(reinterpret_cast<const uint16_t*>(row) + k);
  }
};

// `File` is a type of the file that compiles it, so that the same function compiled with other
// flags does not stand in.
template <typename A, typename File>
struct FloatGemm {
  using Simd = typename A::Simd;
  using Vec = typename Simd::Vec;
  using Number = typename A::Number;
  static constexpr int kValueBytes = sizeof(Number);
  static constexpr int kRowBytes = sizeof(uint16_t);  // of an element
  static constexpr int kR = 4;                        // rows of a tile
  static constexpr int kMostColumns = Simd::kRegisters >= 32 ? 6 : 3;
  // Elements that several tiles of rows are multiplied with while they are in the first cache.
  static constexpr int kDepth = 1024;
  static constexpr size_t kFetchAheadBytes = 8 << 10;

  static void quantize(const float* x, int n_k, int8_t* q, float* /*d*/, int32_t* /*sums*/) {
    A::convert(x, n_k, reinterpret_cast<Number*>(q));
  }

  template <int kC>
  using Sums = Vec[kR][kC];

  template <int kC>
  [[gnu::always_inline]] static inline void copy(const Sums<kC>& from, Sums<kC>& to) {
#pragma GCC unroll 8
    for (int r = 0; r < kR; ++r) {
#pragma GCC unroll 8
      for (int c = 0; c < kC; ++c) to[r][c] = from[r][c];
    }
  }

  // all_sums += the products of elements [begin, end). The next rows are asked for `ahead` bytes
  // ahead; 0: not.
  template <int kC>
  static void add_tile(const char* const* rows, const Number* const* columns, int begin, int end,
                       size_t ahead, Sums<kC>& all_sums) {
    Sums<kC> sums;
    copy<kC>(all_sums, sums);
    for (int block = begin; block < end; block += kInt8Block) {
      if (ahead != 0) {
        for (int r = 0; r < kR; ++r) __builtin_prefetch(rows[r] + block * kRowBytes + ahead);
      }
#pragma GCC unroll 4
      for (int step = 0; step < kInt8Block / A::kStep; ++step) {
        const int k = block + step * A::kStep;
        decltype(A::load_row(rows[0], k)) weights[kR];
#pragma GCC unroll 8
        for (int r = 0; r < kR; ++r) weights[r] = A::load_row(rows[r], k);
#pragma GCC unroll 8
        for (int c = 0; c < kC; ++c) {
          const auto column = A::load_column(columns[c], k);
#pragma GCC unroll 8
          for (int r = 0; r < kR; ++r) {
            sums[r][c] = A::add_products(weights[r], column, sums[r][c]);
          }
        }
      }
    }
    copy<kC>(sums, all_sums);
  }

  // A few columns.
  template <int kC>
  static void multiply_columns(const char* const* rows, const Int8Columns& columns, int first,
                               float* out) {
    const auto* all = reinterpret_cast<const Number*>(columns.q);
    const size_t stride = column_stride(columns.n_k * sizeof(Number)) / sizeof(Number);
    const Number* of_tile[kC];
    for (int c = 0; c < kC; ++c) {
      of_tile[c] = all + static_cast<size_t>(columns.first_column + first + c) * stride;
    }
    Sums<kC> sums[kGemmRows / kR];
    for (auto& tile : sums) {
      for (auto& row : tile) std::fill_n(row, kC, Simd::zero());
    }
    // One after the other they are read ahead; many columns find them in a cache.
    const int n_depth = columns.n_columns == 1 ? columns.n_k : kDepth;
    const size_t n_together = std::max<size_t>(kR * (rows[1] - rows[0]), 1);
    const size_t ahead =
        first > 0 ? 0 : (kFetchAheadBytes + n_together - 1) / n_together * n_together;
    for (int begin = 0; begin < columns.n_k; begin += n_depth) {
      const int end = std::min(begin + n_depth, columns.n_k);
      for (int r = 0; r < kGemmRows; r += kR) {
        add_tile<kC>(rows + r, of_tile, begin, end, ahead, sums[r / kR]);
      }
    }
    for (int c = 0; c < kC; ++c, out += kGemmRows) {
      for (int r = 0; r < kGemmRows; r += Simd::kLanes) {
        Vec of_rows[Simd::kLanes];
        for (int i = 0; i < Simd::kLanes; ++i) of_rows[i] = sums[(r + i) / kR][(r + i) % kR][c];
        Simd::store(out + r, Simd::reduce_add_all(of_rows));
      }
    }
  }

  // The last n < kC columns.
  template <int kC>
  static void multiply_rest(int n, const char* const* rows, const Int8Columns& columns, int first,
                            float* out) {
    if constexpr (kC > 1) {
      if (n == kC - 1) {
        multiply_columns<kC - 1>(rows, columns, first, out);
      } else {
        multiply_rest<kC - 1>(n, rows, columns, first, out);
      }
    }
  }

  static void multiply(const char* const* rows, const Int8Columns& columns, float* sums) {
    int first = 0;
    for (; first + kMostColumns <= columns.n_columns; first += kMostColumns) {
      multiply_columns<kMostColumns>(rows, columns, first, sums + first * kGemmRows);
    }
    multiply_rest<kMostColumns>(columns.n_columns - first, rows, columns, first,
                                sums + first * kGemmRows);
  }
};

}  // namespace pyserve
