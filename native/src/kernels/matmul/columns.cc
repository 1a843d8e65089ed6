#include "kernels/matmul/columns.h"

#include <algorithm>

#include "ggml.h"

namespace pyserve {
namespace {

constexpr size_t kCacheLine = 64;

size_t in_lines(size_t n_bytes) { return (n_bytes + kCacheLine - 1) / kCacheLine * kCacheLine; }

size_t n_values(const ggml_tensor* op) { return op->src[1]->ne[0] * op->src[1]->ne[1]; }

size_t column_bytes(const ggml_tensor* op, const Int8Kernel& kernel) {
  return RoundedColumns::n_bytes(kernel, op->src[1]->ne[0], op->src[1]->ne[1]);
}

bool is_float(const Int8Kernel& kernel) { return kernel.value_bytes > 1; }

int64_t n_pieces(int64_t n_k) { return (n_k + kPieceValues - 1) / kPieceValues; }

size_t sums_bytes(const ggml_tensor* op, const Int8Kernel& kernel) {
  return ColumnParts(op, kernel).n_panels * static_cast<size_t>(op->ne[1]) * kGemmRows *
         sizeof(float);
}

bool is_of_norm(const ggml_tensor* x) {
  const auto is_norm = [](const ggml_tensor* op) {
    return op != nullptr && (op->op == GGML_OP_RMS_NORM || op->op == GGML_OP_NORM);
  };
  return is_norm(x) || (x->op == GGML_OP_MUL && (is_norm(x->src[0]) || is_norm(x->src[1])));
}

}  // namespace

RoundedColumns::RoundedColumns(const Int8Kernel& kernel, int64_t n_k, int64_t n_columns,
                               char* buffer)
    : kernel_(kernel), n_k_(n_k), n_columns_(n_columns), q_(reinterpret_cast<int8_t*>(buffer)) {
  const int64_t n_scales = n_pieces(n_k) * n_columns * kernel.n_scales;
  char* const d = buffer + q_bytes(kernel, n_k, n_columns);
  d_ = reinterpret_cast<float*>(d);
  sums_ = reinterpret_cast<int32_t*>(d + in_lines(n_scales * sizeof(float)));
}

size_t RoundedColumns::n_bytes(const Int8Kernel& kernel, int64_t n_k, int64_t n_columns) {
  const int64_t n = n_pieces(n_k) * n_columns;
  return q_bytes(kernel, n_k, n_columns) + in_lines(n * kernel.n_scales * sizeof(float)) +
         in_lines(n * kernel.n_sums * sizeof(int32_t));
}

// With columns after the last one, for they are read kColumnsTogether at a time.
size_t RoundedColumns::q_bytes(const Int8Kernel& kernel, int64_t n_k, int64_t n_columns) {
  if (is_float(kernel)) return in_lines(n_columns * column_stride(n_k * kernel.value_bytes));
  return in_lines((n_pieces(n_k) * n_columns + kColumnsTogether - 1) * kPieceValues);
}

RoundedColumns::Place RoundedColumns::place(int64_t column, int64_t k) const {
  if (is_float(kernel_)) {
    const size_t stride = column_stride(n_k_ * kernel_.value_bytes);
    return {q_ + column * stride + k * kernel_.value_bytes, d_, sums_};
  }
  const int64_t piece = k / kPieceValues * n_columns_ + column;
  const int64_t at = k % kPieceValues;
  return {q_ + piece * kPieceValues + at,
          d_ + piece * kernel_.n_scales + at * kernel_.n_scales / kPieceValues,
          sums_ + piece * kernel_.n_sums + at * kernel_.n_sums / kPieceValues};
}

template <typename Use>
void RoundedColumns::for_each_piece(int64_t first, int64_t n, Use use) const {
  const int64_t n_together = is_float(kernel_) ? n_k_ : kPieceValues;
  for (const int64_t end = first + n; first < end;) {
    const int64_t n_here = std::min(n_together - first % n_together, end - first);
    use(first, n_here);
    first += n_here;
  }
}

void RoundedColumns::round(const float* x, int64_t column, int64_t first, int64_t n) const {
  for_each_piece(first, n, [&](int64_t k, int64_t n_here) {
    const Place to = place(column, k);
    kernel_.quantize(x + (k - first), static_cast<int>(n_here), to.q, to.d, to.sums);
  });
}

void RoundedColumns::copy(int64_t from, int64_t to, int64_t first, int64_t n) const {
  for_each_piece(first, n, [&](int64_t k, int64_t n_here) {
    const Place source = place(from, k);
    const Place end = place(from, k + n_here - kInt8Block);
    const Place copy = place(to, k);
    std::copy_n(source.q, n_here * kernel_.value_bytes, copy.q);
    if (is_float(kernel_)) return;
    std::copy_n(source.d, end.d - source.d + 1, copy.d);
    std::copy_n(source.sums, n_here * kernel_.n_sums / kPieceValues, copy.sums);
  });
}

Int8Columns RoundedColumns::columns(int64_t first, int64_t n) const {
  return {q_,
          d_,
          sums_,
          static_cast<int>(n_k_),
          static_cast<int>(n),
          static_cast<int>(n_columns_),
          static_cast<int>(first)};
}

// So many values are rounded in a microsecond or two, as long as the threads take to meet. Of more
// products, some tens of microseconds, a faster thread should have more than a slower one.
bool is_little_work(const ggml_tensor* op) {
  constexpr size_t kMaxValues = 8192;
  constexpr size_t kMaxProducts = 4'000'000;
  return op->ne[1] <= kFewColumns && n_values(op) <= kMaxValues &&
         n_values(op) * op->ne[0] <= kMaxProducts;
}

ColumnParts::ColumnParts(const ggml_tensor* op, const Int8Kernel& kernel)
    : n_k(static_cast<int>(op->src[1]->ne[0])),
      n_panels(op->src[1]->ne[1] > kColumnsTogether ? kMaxFewPanels : 1) {
  constexpr int64_t kPartBytes = 512 << 10;
  constexpr int64_t kMostBytes = kPartBytes * 3 / 2;
  constexpr int kPanels = 8;
  const int64_t n_columns = op->src[1]->ne[1];
  if (is_float(kernel) || n_columns <= kFewColumns || n_k * n_columns <= kMostBytes) return;
  n_k =
      static_cast<int>(std::max(kPartBytes / n_columns / kPieceValues, int64_t{1}) * kPieceValues);
  n_panels = kPanels;
}

MulMatColumns::MulMatColumns(const ggml_tensor* op, const Int8Kernel& kernel,
                             const ggml_compute_params* params)
    : MulMatColumns(op, kernel, params, column_bytes(op, kernel)) {}

MulMatColumns::MulMatColumns(const ggml_tensor* op, const Int8Kernel& kernel,
                             const ggml_compute_params* params, size_t n_column_bytes)
    : kernel_(kernel),
      params_(params),
      x_(op->src[1]),
      is_little_(is_little_work(op)),
      rounded_(kernel, x_->ne[0], x_->ne[1],
               static_cast<char*>(params->wdata) + (is_little_ ? params->ith * n_column_bytes : 0)),
      sums_(is_little_
                ? nullptr
                : reinterpret_cast<float*>(static_cast<char*>(params->wdata) + n_column_bytes +
                                           params->ith * sums_bytes(op, kernel))) {}

size_t MulMatColumns::work_bytes(const ggml_tensor* op, const Int8Kernel& kernel, int n_threads) {
  const size_t n_bytes = column_bytes(op, kernel);
  return is_little_work(op) ? n_threads * n_bytes : n_bytes + n_threads * sums_bytes(op, kernel);
}

// Columns stay with the thread that has made them, for between cores far from each other fetching
// them costs more than the work: norms deal out columns in turn, most others in runs.
void MulMatColumns::quantize() const {
  const int64_t n_column_blocks = x_->ne[0] / kInt8Block;
  const int64_t n_columns = x_->ne[1];
  const int64_t n_blocks = n_column_blocks * n_columns;
  const int64_t n_together = kernel_.n_rounded_together / kInt8Block;
  const int64_t ith = params_->ith;
  const int64_t nth = params_->nth;
  const auto begin_of = [&](int64_t i) { return n_blocks / n_together * i / nth * n_together; };
  if (is_little_) {
    quantize_blocks(0, n_blocks);
  } else if (is_of_norm(x_) && n_columns >= nth) {
    for (int64_t column = ith; column < n_columns; column += nth) {
      quantize_blocks(column * n_column_blocks, (column + 1) * n_column_blocks);
    }
  } else {
    quantize_blocks(begin_of(ith), begin_of(ith + 1));
  }
}

// Blocks [begin, end) of all columns, one column after the other.
void MulMatColumns::quantize_blocks(int64_t begin, int64_t end) const {
  const int64_t n_column_blocks = x_->ne[0] / kInt8Block;
  for (int64_t i = begin; i < end;) {
    const int64_t c = i / n_column_blocks;
    const int64_t b = i % n_column_blocks;
    const int64_t n = std::min(n_column_blocks - b, end - i);
    const auto* x =
        reinterpret_cast<const float*>(static_cast<const char*>(x_->data) + c * x_->nb[1]);
    rounded_.round(x + b * kInt8Block, c, b * kInt8Block, n * kInt8Block);
    i += n;
  }
}

}  // namespace pyserve
