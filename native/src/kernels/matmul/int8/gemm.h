// Matrix product of quantized weights with activations rounded to 8 bits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/matmul/int8/columns.h"

namespace pyserve {

// Rounds n_k values of a piece of a column (a multiple of Int8Kernel::n_rounded_together). For
// weights that are floats they become floats of value_bytes each at `q`, and nothing else.
using QuantizeFn = void (*)(const float* x, int n_k, int8_t* q, float* d, int32_t* sums);

// sums[column][i] = dot product of weight row i with the column, for 16 rows; where they are says
// WeightLayout. Parts of columns are for kernels that round, and many columns.
using Multiply16Fn = void (*)(const char* const* rows, const Int8Columns& columns, float* sums);

// Deals out 16 rows of n_bytes (a multiple of 4), 4 bytes of each in turn.
using DealOutFn = void (*)(const char* const* rows, size_t n_bytes, char* out);

inline constexpr int kNever = 1 << 30;  // as n_min_columns

// For one type of weights in one layout. Columns are multiplied with the type for which they were
// quantized.
struct Int8Kernel {
  int n_min_columns;  // with fewer the vendored product is as fast or faster
  QuantizeFn quantize;
  Multiply16Fn multiply;                // nullptr: there is no kernel
  int value_bytes = 1;                  // of each value of a column
  int n_rounded_together = kInt8Block;  // values of a column that have one scale
  int n_scales = 0;                     // of a piece of a column
  int n_sums = 0;                       // of a piece of a column
  // A thread calls them before and after products of more than n_plain_columns; nullptr: it need
  // not.
  void (*begin)() = nullptr;
  void (*end)() = nullptr;
  int n_plain_columns = kNever;
};

}  // namespace pyserve
