// Activations of a product, rounded to 8 bits.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pyserve {

// Rows of weights that are multiplied together.
inline constexpr int kGemmRows = 16;
// Activations of one block of 32: value = d * q.
inline constexpr int kInt8Block = 32;

// Columns that a product may read at once: so many it may read of `q`, whatever is there.
inline constexpr int kColumnsTogether = 16;

// Bytes from one column of `q`, of so many, to the next: not a multiple of 4 KiB, for which columns
// that are read together would push each other out of the first cache.
constexpr size_t column_stride(int64_t n_bytes) { return static_cast<size_t>(n_bytes) + 64; }

// All columns, quantized. Row-major, one row per column of the product.
struct Int8Columns {
  const int8_t* q;      // [column, up to a multiple of kColumnsTogether][column_stride()]
  const float* d;       // [column][n_k / 32]
  const int32_t* sums;  // [column][n_k / 16], as the type of the weights wants them
  int n_k;
  int n_columns;
};

}  // namespace pyserve
