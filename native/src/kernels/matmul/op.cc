#include "kernels/matmul/op.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "ggml-backend.h"
#include "kernels/matmul/columns.h"
#include "kernels/matmul/panels.h"
#include "repack.h"

namespace pyserve {
namespace {

constexpr size_t kCacheLine = 64;
constexpr int kRepackedRows = 8;  // that the vendored library puts side by side

// Sixteen rows from `first_row` on; rows past the end repeat the last one, or the last
// group of those that lie together.
void row_pointers(const ggml_tensor* weights, int64_t first_row, int rows_together,
                  const char** rows) {
  for (int i = 0; i < kGemmRows; ++i) {
    const int64_t group = first_row + i - i % rows_together;
    const int64_t row = std::min(group, weights->ne[1] - rows_together);
    rows[i] = static_cast<const char*>(weights->data) + row * weights->nb[1];
  }
}

// Copies sums[column][16] to the 16 rows from `first_row` on of the result.
void store_rows(const ggml_tensor* op, int64_t first_row, const float* sums) {
  const auto n_rows = std::min<int64_t>(kGemmRows, op->ne[0] - first_row);
  char* out = static_cast<char*>(op->data) + first_row * sizeof(float);
  if (n_rows == kGemmRows) {
    // Of a size that the compiler knows.
    for (int64_t c = 0; c < op->ne[1]; ++c, out += op->nb[1], sums += kGemmRows) {
      std::memcpy(out, sums, kGemmRows * sizeof(float));
    }
    return;
  }
  for (int64_t c = 0; c < op->ne[1]; ++c, out += op->nb[1], sums += kGemmRows) {
    std::memcpy(out, sums, n_rows * sizeof(float));
  }
}

// Calls run(row) for the first row of every panel of 16 that this thread computes: a run of its
// own, for weights are fetched ahead in their order. When they are dealt out, the last quarter is
// taken a few at a time, for one thread may be slower than another; the counter of the thread pool,
// 0 before, is 0 after.
template <typename Run>
void for_each_panel(const ggml_compute_params* params, const ggml_tensor* op, bool is_dealt_out,
                    Run run) {
  constexpr int kChunksPerThread = 4;
  constexpr int kMaxChunk = 64;
  const int nth = params->nth;
  const auto n_panels = static_cast<int>((op->ne[0] + kGemmRows - 1) / kGemmRows);
  const auto run_all = [&](int begin, int end) {
    for (int panel = begin; panel < end; ++panel) run(static_cast<int64_t>(panel) * kGemmRows);
  };
  if (!is_dealt_out || nth == 1) {
    run_all(n_panels * params->ith / nth, n_panels * (params->ith + 1) / nth);
    return;
  }
  const int n_own = n_panels * 3 / 4 / nth;
  const int n_shared = n_panels - n_own * nth;
  const int n_together = std::clamp(n_shared / (kChunksPerThread * nth), 1, kMaxChunk);
  const int n_chunks = (n_shared + n_together - 1) / n_together;
  run_all(n_own * params->ith, n_own * (params->ith + 1));
  int chunk = ggml_threadpool_chunk_add(params->threadpool, 1);
  for (; chunk < n_chunks; chunk = ggml_threadpool_chunk_add(params->threadpool, 1)) {
    const int first = n_own * nth + chunk * n_together;
    run_all(first, std::min(first + n_together, n_panels));
  }
  // No other thread asks again.
  if (chunk == n_chunks + nth - 1) ggml_threadpool_chunk_set(params->threadpool, 0);
}

bool is_repacked(const ggml_tensor* weights) {
  return weights->buffer != nullptr &&
         weights->buffer->buft == ggml_backend_cpu_repack_buffer_type() &&
         weights->extra != nullptr && weights->ne[1] % kRepackedRows == 0;
}

bool is_plain(const ggml_tensor* weights) {
  return weights->buffer == nullptr || ggml_backend_buffer_is_host(weights->buffer);
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
         weights->nb[0] == ggml_type_size(weights->type);
}

// The kernel for some weights, and where it finds them.
struct Weights {
  Weights(const Int8GemmKernels& kernels, const ggml_tensor* weights) : tensor(weights) {
    const WeightType* type = kernels.find(weights->type);
    if (type == nullptr) return;
    if (is_repacked(weights)) {
      kernel = type->kernel(WeightLayout::kX8);
      rows_together = kRepackedRows;
    } else if (is_plain(weights)) {
      panels = panels_of(weights);
      if (panels != nullptr) n_panel_bytes = type->panel_bytes(weights->ne[0]);
      kernel = type->kernel(panels == nullptr ? WeightLayout::kFile : WeightLayout::kPanel);
    }
  }

  // What the kernel wants to know of the 16 rows from `first_row` on.
  void find(int64_t first_row, const char** rows) const {
    if (panels == nullptr) {
      row_pointers(tensor, first_row, rows_together, rows);
    } else {
      rows[0] = panels + first_row / kGemmRows * n_panel_bytes;
    }
  }

  const ggml_tensor* tensor;
  const Int8Kernel* kernel = nullptr;  // nullptr: there is none
  const char* panels = nullptr;        // nullptr: the rows are as in the file, or repacked
  size_t n_panel_bytes = 0;            // of each
  int rows_together = 1;
};

}  // namespace

bool MulMatOp::can_compute(const ggml_tensor* op) const {
  const Int8Kernel* kernel = Weights(kernels_, op->src[0]).kernel;
  return kernel != nullptr && is_product(op, kernel->n_min_columns);
}

bool MulMatOp::work_size(int n_threads, const ggml_tensor* op, size_t& size) {
  size = std::max(size, MulMatColumns::work_bytes(op, n_threads));
  const Planned before = last_planned_;
  const Planned now{op, op->src[1], Weights(kernels_, op->src[0]).kernel->quantize,
                    is_little_work(op)};
  const bool has_columns = before.op != op && before.columns == now.columns &&
                           before.quantize == now.quantize && before.is_little == now.is_little;
  // NOTE: `extra` of a node is its planner's; nothing else of the vendor's graph is written to.
  const_cast<ggml_tensor*>(op)->extra = has_columns ? const_cast<ggml_tensor*>(before.op) : nullptr;
  last_planned_ = (op->flags & GGML_TENSOR_FLAG_COMPUTE) != 0 ? now : Planned{};
  return true;
}

bool MulMatOp::compute_forward(ggml_compute_params* params, ggml_tensor* op) {
  const Computed before = last_computed_;
  forget();
  const Weights weights(kernels_, op->src[0]);
  const Int8Kernel& kernel = *weights.kernel;
  const MulMatColumns work(op, params);
  const bool is_dealt_out = !is_little_work(op);
  if (op->extra == nullptr) {
    if (is_dealt_out && params->ith == 0) ggml_threadpool_chunk_set(params->threadpool, 0);
    work.quantize(kernel.quantize);
    if (is_dealt_out) ggml_barrier(params->threadpool);
  } else {
    PYSERVE_DEBUG_CHECK(before.op == op->extra && before.work_buffer == params->wdata);
  }
  const Int8Columns columns = work.columns();
  alignas(kCacheLine) float few_sums[kFewColumns * kGemmRows];
  float* const sums = columns.n_columns <= kFewColumns ? few_sums : work.sums();
  const Multiplying multiplying(kernels_);
  for_each_panel(params, op, is_dealt_out, [&](int64_t first_row) {
    const char* rows[kGemmRows];
    weights.find(first_row, rows);
    kernel.multiply(rows, columns, sums);
    store_rows(op, first_row, sums);
  });
  last_computed_ = {op, params->wdata};
  return true;
}

}  // namespace pyserve
