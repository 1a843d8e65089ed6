// The columns of a product, rounded to 8 bits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ggml-cpu-impl.h"
#include "kernels/matmul/int8/gemm.h"

namespace pyserve {

// So many columns have their sums on the stack: in the work buffer other threads have had the
// lines before.
inline constexpr int kFewColumns = 64;

// Columns in a buffer, as a kernel wants them: [q][d][sums] (Int8Columns).
class RoundedColumns {
 public:
  // REQUIRES: `buffer` has n_bytes(), and begins with a cache line.
  RoundedColumns(const Int8Kernel& kernel, int64_t n_k, int64_t n_columns, char* buffer);
  static size_t n_bytes(const Int8Kernel& kernel, int64_t n_k, int64_t n_columns);

  // Rounds values [first, first + n) of a column, multiples of Int8Kernel::n_rounded_together.
  void round(const float* x, int64_t column, int64_t first, int64_t n) const;
  // What round() has made of these values, for another column.
  void copy(int64_t from, int64_t to, int64_t first, int64_t n) const;
  Int8Columns columns(int64_t first, int64_t n) const;

 private:
  struct Place {
    int8_t* q;
    float* d;
    int32_t* sums;
  };
  Place place(int64_t column, int64_t k) const;
  template <typename Use>
  void for_each_piece(int64_t first, int64_t n, Use use) const;
  static size_t q_bytes(const Int8Kernel& kernel, int64_t n_k, int64_t n_columns);

  const Int8Kernel& kernel_;
  int64_t n_k_;
  int64_t n_columns_;
  int8_t* q_;
  float* d_;
  int32_t* sums_;
};

// Whether a GGML_OP_MUL_MAT, of few columns, is so little work that the threads do not meet before
// it: each rounds all columns for itself, and multiplies as many rows as the others.
bool is_little_work(const ggml_tensor* op);

// How a thread goes through more columns than the second cache holds: with a part of them through a
// few panels, then with the next part.
struct ColumnParts {
  ColumnParts(const ggml_tensor* op, const Int8Kernel& kernel);

  static constexpr int kMaxFewPanels = 4;  // of few columns

  int n_k;       // of each column
  int n_panels;  // whose sums are kept meanwhile
};

// What one thread of some sees of the work buffer:
//   little work  [per thread: columns]
//   otherwise    [columns of all] [per thread: sums]
class MulMatColumns {
 public:
  // As `kernel` wants them.
  MulMatColumns(const ggml_tensor* op, const Int8Kernel& kernel, const ggml_compute_params* params);

  static size_t work_bytes(const ggml_tensor* op, const Int8Kernel& kernel, int n_threads);

  // Rounds this thread's share of the columns. Others' are there after a barrier, which little work
  // does not need.
  void quantize() const;
  Int8Columns columns() const { return rounded_.columns(0, x_->ne[1]); }
  // [panel of ColumnParts][column][16]; of few columns not needed
  float* sums() const { return sums_; }

 private:
  MulMatColumns(const ggml_tensor* op, const Int8Kernel& kernel, const ggml_compute_params* params,
                size_t n_column_bytes);
  void quantize_blocks(int64_t begin, int64_t end) const;

  const Int8Kernel& kernel_;
  const ggml_compute_params* params_;
  const ggml_tensor* x_;
  bool is_little_;
  RoundedColumns rounded_;
  float* sums_;
};

}  // namespace pyserve
