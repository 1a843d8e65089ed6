// Activations of a product, rounded to 8 bits.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pyserve {

// Rows of weights that are multiplied together.
inline constexpr int kGemmRows = 16;
// Activations of one block of 32: value = d * q.
inline constexpr int kInt8Block = 32;
// Values of a column that lie together, then come those of the next column: what is multiplied at a
// time is read from one end to the other. The last piece may have fewer values, in as much space.
inline constexpr int kPieceValues = 256;

// Columns that a product may read at once: so many it may read of `q`, whatever is there.
inline constexpr int kColumnsTogether = 16;

// Bytes of a column that lies in one piece: not a multiple of 4 KiB, for which columns that are
// read together would push each other out of the first cache.
constexpr size_t column_stride(int64_t n_bytes) { return static_cast<size_t>(n_bytes) + 64; }

// Some of the rounded columns in a buffer (RoundedColumns), or some pieces of them.
struct Int8Columns {
  // The number of column c's piece, of those from first_piece and of the columns from first_column
  // on, among all pieces.
  size_t place(int piece, int c) const {
    return static_cast<size_t>(first_piece + piece) * n_all_columns + first_column + c;
  }
  // Values [begin, begin + n) of each column; `begin` is a multiple of kPieceValues.
  Int8Columns part(int begin, int n) const {
    Int8Columns out = *this;
    out.first_piece += begin / kPieceValues;
    out.n_k = n;
    return out;
  }
  // Whether the product is added to that of the parts before.
  bool is_more() const { return first_piece > 0; }

  const int8_t* q;  // [piece][column][kPieceValues]; of floats [column][column_stride(n_k)]
  const float* d;   // [piece][column][Int8Kernel::n_scales]
  const int32_t*
      sums;  // [piece][column][Int8Kernel::n_sums], as the type of the weights wants them
  int n_k;
  int n_columns;
  int n_all_columns;  // in the buffer
  int first_column = 0;
  int first_piece = 0;
};

}  // namespace pyserve
