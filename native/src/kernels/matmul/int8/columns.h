// Activations of a product, rounded to 8 bits.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pyserve {

// Rows of weights that are multiplied together.
inline constexpr int kGemmRows = 16;
// Activations of one block of 32: value = d * q.
inline constexpr int kInt8Block = 32;

// All columns, quantized. Row-major, one row per column of the product.
struct Int8Columns {
  const int8_t* q;      // [column][n_k]
  const float* d;       // [column][n_k / 32]
  const int32_t* sums;  // [column][n_k / 16], as the type of the weights wants them
  int n_k;
  int n_columns;
};

}  // namespace pyserve
