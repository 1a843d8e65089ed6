#include "kernels/matmul/op.h"

#include <algorithm>
#include <cstring>

#include "kernels/matmul/columns.h"
#include "kernels/matmul/left_columns.h"
#include "kernels/matmul/panel_split.h"
#include "kernels/matmul/panels.h"
#include "kernels/matmul/placed_weights.h"

namespace pyserve {
namespace {

constexpr size_t kCacheLine = 64;

// Copies sums[panel][column][16] of neighbouring panels to the rows from `first_row` on of the
// result.
void store_rows(const ggml_tensor* op, int64_t first_row, int n_panels, const float* sums) {
  constexpr size_t kBytes = kGemmRows * sizeof(float);
  const int64_t n_columns = op->ne[1];
  const int64_t n_rows = std::min<int64_t>(n_panels * kGemmRows, op->ne[0] - first_row);
  const int64_t n_full = n_rows / kGemmRows;
  char* column = static_cast<char*>(op->data) + first_row * sizeof(float);
  for (int64_t c = 0; c < n_columns; ++c, column += op->nb[1], sums += kGemmRows) {
    for (int64_t i = 0; i < n_full; ++i) {
      std::memcpy(column + i * kBytes, sums + i * n_columns * kGemmRows, kBytes);
    }
    if (n_full < n_panels) {
      std::memcpy(column + n_full * kBytes, sums + n_full * n_columns * kGemmRows,
                  n_rows * sizeof(float) - n_full * kBytes);
    }
  }
}

// One matrix of weights times at least n_min_columns columns of floats.
bool is_product(const ggml_tensor* op, int n_min_columns) {
  const ggml_tensor* weights = op->src[0];
  const ggml_tensor* x = op->src[1];
  if (x->type != GGML_TYPE_F32 || op->type != GGML_TYPE_F32 || x->ne[1] < n_min_columns) {
    return false;
  }
  const bool is_matrix =
      weights->ne[2] == 1 && weights->ne[3] == 1 && x->ne[2] == 1 && x->ne[3] == 1;
  return is_matrix && x->nb[0] == sizeof(float) && op->nb[0] == sizeof(float) &&
         weights->nb[0] == ggml_type_size(weights->type) && weights->ne[0] % kInt8Block == 0;
}

}  // namespace

bool MulMatOp::can_compute(const ggml_tensor* op) const {
  const Int8Kernel* kernel = PlacedWeights(kernels_, op->src[0]).kernel;
  return kernel != nullptr && is_product(op, kernel->n_min_columns);
}

bool MulMatOp::work_size(int n_threads, const ggml_tensor* op, size_t& size) {
  const Int8Kernel& kernel = *PlacedWeights(kernels_, op->src[0]).kernel;
  size = std::max(size, MulMatColumns::work_bytes(op, kernel, n_threads));
  LeftColumns::plan(
      op, {.columns = op->src[1], .quantize = kernel.quantize, .is_little = is_little_work(op)});
  return true;
}

bool MulMatOp::compute_forward(ggml_compute_params* params, ggml_tensor* op) {
  const bool has_columns = LeftColumns::take(op, params->wdata);
  const PlacedWeights weights(kernels_, op->src[0]);
  const Int8Kernel& kernel = *weights.kernel;
  const MulMatColumns work(op, kernel, params);
  const bool is_dealt_out = !is_little_work(op);
  if (!has_columns) {
    if (is_dealt_out && params->ith == 0) ggml_threadpool_chunk_set(params->threadpool, 0);
    work.quantize();
    if (is_dealt_out) ggml_barrier(params->threadpool);
  }
  const Int8Columns columns = work.columns();
  alignas(kCacheLine) float few_sums[ColumnParts::kMaxFewPanels * kFewColumns * kGemmRows];
  float* const sums = columns.n_columns <= kFewColumns ? few_sums : work.sums();
  const Multiplying multiplying(kernel, columns.n_columns);
  const int n_panels = static_cast<int>(panels_of_a_matrix(op->src[0]));
  const ColumnParts parts(op, kernel);
  const int64_t n_panel_sums = static_cast<int64_t>(columns.n_columns) * kGemmRows;
  for_each_run(params, n_panels, is_dealt_out, [&](int begin, int end) {
    for (; begin < end; begin += parts.n_panels) {
      const int n = std::min(parts.n_panels, end - begin);
      for (int k = 0; k < columns.n_k; k += parts.n_k) {
        const Int8Columns part = columns.part(k, std::min(parts.n_k, columns.n_k - k));
        for (int i = 0; i < n; ++i) {
          const char* rows[kGemmRows];
          weights.find((begin + i) * int64_t{kGemmRows}, rows, 0, k);
          kernel.multiply(rows, part, sums + i * n_panel_sums);
        }
      }
      store_rows(op, begin * int64_t{kGemmRows}, n, sums);
    }
  });
  LeftColumns::leave(op, params->wdata);
  return true;
}

}  // namespace pyserve
