#include "kernels/matmul/columns.h"

#include <algorithm>

#include "ggml.h"

namespace pyserve {
namespace {

constexpr size_t kCacheLine = 64;

size_t in_lines(size_t n_bytes) { return (n_bytes + kCacheLine - 1) / kCacheLine * kCacheLine; }

size_t n_values(const ggml_tensor* op) { return op->src[1]->ne[0] * op->src[1]->ne[1]; }

// More columns than are multiplied one by one are read kColumnsTogether at a time.
size_t q_bytes(const ggml_tensor* op, const Int8Kernel& kernel) {
  const int64_t n = op->src[1]->ne[1];
  const int64_t n_read = (n + kColumnsTogether - 1) / kColumnsTogether * kColumnsTogether;
  return in_lines(static_cast<size_t>(n_read) *
                  column_stride(op->src[1]->ne[0] * kernel.value_bytes));
}

// [q][d][sums] of all columns.
size_t column_bytes(const ggml_tensor* op, const Int8Kernel& kernel) {
  return q_bytes(op, kernel) + in_lines(3 * n_values(op) / kInt8Block * sizeof(float));
}

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
  constexpr int64_t kSuperBlock = 256;  // of which a part has whole ones, whatever the type
  constexpr int64_t kPartBytes = 512 << 10;
  constexpr int64_t kMostBytes = kPartBytes * 3 / 2;
  constexpr int kPanels = 8;
  const int64_t n_columns = op->src[1]->ne[1];
  if (kernel.value_bytes > 1 || n_columns <= kFewColumns || n_k * n_columns <= kMostBytes) return;
  n_k = static_cast<int>(std::max(kPartBytes / n_columns / kSuperBlock, int64_t{1}) * kSuperBlock);
  n_panels = kPanels;
}

MulMatColumns::MulMatColumns(const ggml_tensor* op, const Int8Kernel& kernel,
                             const ggml_compute_params* params)
    : kernel_(kernel), params_(params), x_(op->src[1]), is_little_(is_little_work(op)) {
  const size_t n_bytes = column_bytes(op, kernel);
  char* const at = static_cast<char*>(params->wdata) + (is_little_ ? params->ith * n_bytes : 0);
  q_ = reinterpret_cast<int8_t*>(at);
  d_ = reinterpret_cast<float*>(at + q_bytes(op, kernel));
  column_sums_ = reinterpret_cast<int32_t*>(d_ + n_values(op) / kInt8Block);
  sums_ = is_little_
              ? nullptr
              : reinterpret_cast<float*>(at + n_bytes + params->ith * sums_bytes(op, kernel));
}

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
    int8_t* const q = q_ + c * column_stride(x_->ne[0] * kernel_.value_bytes);
    kernel_.quantize(x + b * kInt8Block, static_cast<int>(n) * kInt8Block,
                     q + b * kInt8Block * kernel_.value_bytes, d_ + i, column_sums_ + 2 * i);
    i += n;
  }
}

Int8Columns MulMatColumns::columns() const {
  const int n_k = static_cast<int>(x_->ne[0]);
  return {q_, d_, column_sums_, n_k, static_cast<int>(x_->ne[1]), n_k};
}

}  // namespace pyserve
