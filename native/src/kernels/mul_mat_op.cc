#include "kernels/mul_mat_op.h"

#include <algorithm>

#include "ggml-backend.h"

namespace pyserve {
namespace {

constexpr size_t kCacheLine = 64;

size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

// Sixteen rows from `first_row` on, at weight k; rows past the end repeat the last one.
void row_pointers(const ggml_tensor* weights, int64_t first_row, int k, const char** rows) {
  const size_t at =
      static_cast<size_t>(k / ggml_blck_size(weights->type)) * ggml_type_size(weights->type);
  for (int i = 0; i < kRowGroup; ++i) {
    const int64_t row = std::min(first_row + i, weights->ne[1] - 1);
    rows[i] = static_cast<const char*>(weights->data) + row * weights->nb[1] + at;
  }
}

// Copies sums[column][width] to rows [first_row, first_row + width) of the result.
void store_rows(const ggml_tensor* op, int64_t first_row, int width, const float* sums) {
  const auto n_rows = std::min<int64_t>(width, op->ne[0] - first_row);
  for (int64_t c = 0; c < op->ne[1]; ++c) {
    auto* out = reinterpret_cast<float*>(static_cast<char*>(op->data) + c * op->nb[1]);
    std::copy_n(sums + c * width, n_rows, out + first_row);
  }
}

// Lets the threads take the panels of `width` rows one by one. Every thread calls begin_panels(),
// meets the others at a barrier, and then calls for_each_panel().
void begin_panels(const ggml_compute_params* params) {
  if (params->ith == 0) ggml_threadpool_chunk_set(params->threadpool, params->nth);
}

template <typename Run>
void for_each_panel(const ggml_compute_params* params, const ggml_tensor* op, int width, Run run) {
  const auto n_panels = static_cast<int>((op->ne[0] + width - 1) / width);
  for (int panel = params->ith; panel < n_panels;
       panel = ggml_threadpool_chunk_add(params->threadpool, 1)) {
    run(static_cast<int64_t>(panel) * width);
  }
}

// One thread's part of the work buffer: [unpacked panel][sums of all columns].
struct FloatBuffers {
  FloatBuffers(const GemmKernels& kernels, const ggml_tensor* op, void* wdata, int ith)
      : panel(static_cast<float*>(wdata) + static_cast<size_t>(ith) * n_floats(kernels, op)),
        sums(panel + static_cast<size_t>(kPanelDepth) * kernels.panel_width) {}

  static size_t n_floats(const GemmKernels& kernels, const ggml_tensor* op) {
    return (static_cast<size_t>(kPanelDepth) + op->ne[1]) * kernels.panel_width;
  }

  float* panel;
  float* sums;  // [column][panel_width]
};

void multiply_panel(const GemmKernels& kernels, const ggml_tensor* op, int64_t first_row,
                    const FloatBuffers& buffers) {
  const ggml_tensor* weights = op->src[0];
  const ggml_tensor* x = op->src[1];
  const int width = kernels.panel_width;
  const UnpackFn unpack =
      weights->type == GGML_TYPE_Q4_1 ? kernels.unpack_q4_1 : kernels.unpack_q5_1;
  const int n_k = static_cast<int>(weights->ne[0]);
  std::fill_n(buffers.sums, op->ne[1] * width, 0.0F);
  for (int k = 0; k < n_k; k += kPanelDepth) {
    const int depth = std::min(kPanelDepth, n_k - k);
    for (int group = 0; group < width; group += kRowGroup) {
      const char* rows[kRowGroup];
      row_pointers(weights, first_row + group, k, rows);
      unpack(rows, depth, buffers.panel + group, width);
    }
    kernels.multiply(buffers.panel, depth, static_cast<const float*>(x->data) + k,
                     x->nb[1] / sizeof(float), static_cast<int>(op->ne[1]), buffers.sums);
  }
  store_rows(op, first_row, width, buffers.sums);
}

// The work buffer of the integer product: [q][d][s] of all columns, then sums for each thread.
struct Int8Buffers {
  Int8Buffers(const ggml_tensor* op, void* wdata, int ith) {
    const size_t n_k = op->src[1]->ne[0];
    const size_t n_values = n_k * op->ne[1];
    char* at = static_cast<char*>(wdata);
    q = reinterpret_cast<int8_t*>(at);
    d = reinterpret_cast<float*>(at += round_up(n_values, kCacheLine));
    s = d + n_values / kInt8Block;
    at += shared_bytes(op) - round_up(n_values, kCacheLine);
    sums = reinterpret_cast<float*>(at + ith * sums_bytes(op));
  }

  static size_t shared_bytes(const ggml_tensor* op) {
    const size_t n_values = static_cast<size_t>(op->src[1]->ne[0]) * op->ne[1];
    return round_up(n_values, kCacheLine) +
           round_up(2 * n_values / kInt8Block * sizeof(float), kCacheLine);
  }
  static size_t sums_bytes(const ggml_tensor* op) {
    return static_cast<size_t>(op->ne[1]) * kRowGroup * sizeof(float);
  }

  int8_t* q;
  float* d;
  float* s;
  float* sums;  // [column][16], this thread's
};

void quantize_columns(const Int8GemmKernels& kernels, const ggml_compute_params* params,
                      const ggml_tensor* x, const Int8Buffers& buffers) {
  const auto n_k = static_cast<size_t>(x->ne[0]);
  const size_t n_blocks = n_k / kInt8Block;
  for (int64_t c = params->ith; c < x->ne[1]; c += params->nth) {
    const auto* column =
        reinterpret_cast<const float*>(static_cast<const char*>(x->data) + c * x->nb[1]);
    kernels.quantize(column, static_cast<int>(n_k), buffers.q + c * n_k, buffers.d + c * n_blocks,
                     buffers.s + c * n_blocks);
  }
}

}  // namespace

bool MulMatOp::can_compute(const ggml_tensor* op, int n_min_columns) {
  const ggml_tensor* weights = op->src[0];
  const ggml_tensor* x = op->src[1];
  if (weights->type != GGML_TYPE_Q4_1 && weights->type != GGML_TYPE_Q5_1) return false;
  if (weights->buffer != nullptr && !ggml_backend_buffer_is_host(weights->buffer)) return false;
  if (x->type != GGML_TYPE_F32 || op->type != GGML_TYPE_F32 || x->ne[1] < n_min_columns) {
    return false;
  }
  const bool is_matrix =
      weights->ne[2] == 1 && weights->ne[3] == 1 && x->ne[2] == 1 && x->ne[3] == 1;
  return is_matrix && x->nb[0] == sizeof(float) && op->nb[0] == sizeof(float) &&
         weights->nb[0] == ggml_type_size(weights->type);
}

bool FloatMulMatOp::work_size(int n_threads, const ggml_tensor* op, size_t& size) {
  size = std::max(size, n_threads * FloatBuffers::n_floats(kernels_, op) * sizeof(float));
  return true;
}

bool FloatMulMatOp::compute_forward(ggml_compute_params* params, ggml_tensor* op) {
  const FloatBuffers buffers(kernels_, op, params->wdata, params->ith);
  begin_panels(params);
  ggml_barrier(params->threadpool);
  for_each_panel(params, op, kernels_.panel_width,
                 [&](int64_t first_row) { multiply_panel(kernels_, op, first_row, buffers); });
  return true;
}

bool Int8MulMatOp::work_size(int n_threads, const ggml_tensor* op, size_t& size) {
  size = std::max(size, Int8Buffers::shared_bytes(op) + n_threads * Int8Buffers::sums_bytes(op));
  return true;
}

bool Int8MulMatOp::compute_forward(ggml_compute_params* params, ggml_tensor* op) {
  const ggml_tensor* weights = op->src[0];
  const Int8Buffers buffers(op, params->wdata, params->ith);
  begin_panels(params);
  quantize_columns(kernels_, params, op->src[1], buffers);
  ggml_barrier(params->threadpool);
  const Int8Columns columns{buffers.q, buffers.d, buffers.s, static_cast<int>(weights->ne[0]),
                            static_cast<int>(op->ne[1])};
  const Multiply16Fn multiply =
      weights->type == GGML_TYPE_Q4_1 ? kernels_.multiply_q4_1 : kernels_.multiply_q5_1;
  for_each_panel(params, op, kRowGroup, [&](int64_t first_row) {
    const char* rows[kRowGroup];
    row_pointers(weights, first_row, 0, rows);
    multiply(rows, columns, buffers.sums);
    store_rows(op, first_row, kRowGroup, buffers.sums);
  });
  return true;
}

}  // namespace pyserve
