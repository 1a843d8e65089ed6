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

// Columns, quantized, or a part of all of them. Row-major, one row per column of the product.
struct Int8Columns {
  // Values [begin, begin + n) of each column.
  Int8Columns part(int begin, int n) const {
    const int block = begin / kInt8Block;
    return {q + begin, d + block, sums + 2 * block, n, n_columns, n_all_k, begin > 0};
  }

  const int8_t* q;      // [column, up to a multiple of kColumnsTogether][column_stride(n_all_k)]
  const float* d;       // [column][n_all_k / 32], the same for all that are rounded together
  const int32_t* sums;  // [column][n_all_k / 16], as the type of the weights wants them
  int n_k;
  int n_columns;
  int n_all_k;           // of whole columns
  bool is_more = false;  // the product is added to that of the parts before
};

}  // namespace pyserve
