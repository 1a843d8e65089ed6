#include "kernels/mul_mat_op.h"

#include <algorithm>
#include <cstring>

#include "ggml-backend.h"
#include "kernels/panels.h"
#include "repack.h"

namespace pyserve {
namespace {

constexpr size_t kCacheLine = 64;
// Their sums are on the stack: in the work buffer other threads have had the lines before.
constexpr int kFewColumns = 64;
constexpr int kRepackedRows = 8;  // that the vendored library puts side by side

size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

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

// Lets the threads take panels of 16 rows: each a run of its own, for weights are fetched ahead in
// their order, then a few at a time of what is left, for one thread may be slower than another.
// Every thread calls begin_panels(), meets the others at a barrier, and then calls
// for_each_panel().
void begin_panels(const ggml_compute_params* params) {
  if (params->ith == 0) ggml_threadpool_chunk_set(params->threadpool, 0);
}

template <typename Run>
void for_each_panel(const ggml_compute_params* params, const ggml_tensor* op, Run run) {
  constexpr int kChunksPerThread = 4;
  constexpr int kMaxChunk = 64;
  const auto n_panels = static_cast<int>((op->ne[0] + kGemmRows - 1) / kGemmRows);
  const int n_own = params->nth == 1 ? n_panels : n_panels * 3 / 4 / params->nth;
  const int n_shared = n_panels - n_own * params->nth;
  const int n_together = std::clamp(n_shared / (kChunksPerThread * params->nth), 1, kMaxChunk);
  const auto run_all = [&](int begin, int end) {
    for (int panel = begin; panel < end; ++panel) run(static_cast<int64_t>(panel) * kGemmRows);
  };
  run_all(n_own * params->ith, n_own * (params->ith + 1));
  for (;;) {
    const int chunk = ggml_threadpool_chunk_add(params->threadpool, 1);
    const int first = n_own * params->nth + chunk * n_together;
    if (first >= n_panels) return;
    run_all(first, std::min(first + n_together, n_panels));
  }
}

// The work buffer: [q][d][sums] of all columns, then sums for each thread.
struct Int8Buffers {
  Int8Buffers(const ggml_tensor* op, void* wdata, int ith) {
    const size_t n_k = op->src[1]->ne[0];
    const size_t n_values = n_k * op->ne[1];
    char* at = static_cast<char*>(wdata);
    q = reinterpret_cast<int8_t*>(at);
    d = reinterpret_cast<float*>(at += round_up(n_values, kCacheLine));
    column_sums = reinterpret_cast<int32_t*>(d + n_values / kInt8Block);
    at += shared_bytes(op) - round_up(n_values, kCacheLine);
    sums = reinterpret_cast<float*>(at + ith * sums_bytes(op));
  }

  static size_t shared_bytes(const ggml_tensor* op) {
    const size_t n_values = static_cast<size_t>(op->src[1]->ne[0]) * op->ne[1];
    return round_up(n_values, kCacheLine) +
           round_up(3 * n_values / kInt8Block * sizeof(float), kCacheLine);
  }
  static size_t sums_bytes(const ggml_tensor* op) {
    return static_cast<size_t>(op->ne[1]) * kGemmRows * sizeof(float);
  }

  int8_t* q;
  float* d;
  int32_t* column_sums;
  float* sums;  // [column][16], this thread's
};

bool is_of_norm(const ggml_tensor* x) {
  const auto is_norm = [](const ggml_tensor* op) {
    return op != nullptr && (op->op == GGML_OP_RMS_NORM || op->op == GGML_OP_NORM);
  };
  return is_norm(x) || (x->op == GGML_OP_MUL && (is_norm(x->src[0]) || is_norm(x->src[1])));
}

// Blocks [begin, end) of all columns, one column after the other.
void quantize_blocks(QuantizeFn quantize, const ggml_tensor* x, int64_t begin, int64_t end,
                     const Int8Buffers& buffers) {
  const int64_t n_column_blocks = x->ne[0] / kInt8Block;
  for (int64_t i = begin; i < end;) {
    const int64_t b = i % n_column_blocks;
    const int64_t n = std::min(n_column_blocks - b, end - i);
    const auto* column = reinterpret_cast<const float*>(static_cast<const char*>(x->data) +
                                                        i / n_column_blocks * x->nb[1]);
    quantize(column + b * kInt8Block, static_cast<int>(n) * kInt8Block, buffers.q + i * kInt8Block,
             buffers.d + i, buffers.column_sums + 2 * i);
    i += n;
  }
}

// Columns stay with the thread that has made them, for between cores far from each other fetching
// them costs more than the work: norms deal out columns in turn, most others in runs.
void quantize_columns(QuantizeFn quantize, const ggml_compute_params* params, const ggml_tensor* x,
                      const Int8Buffers& buffers) {
  const int64_t n_column_blocks = x->ne[0] / kInt8Block;
  const int64_t n_columns = x->ne[1];
  if (is_of_norm(x) && n_columns >= params->nth) {
    for (int64_t column = params->ith; column < n_columns; column += params->nth) {
      quantize_blocks(quantize, x, column * n_column_blocks, (column + 1) * n_column_blocks,
                      buffers);
    }
    return;
  }
  const int64_t n_blocks = n_column_blocks * n_columns;
  quantize_blocks(quantize, x, n_blocks * params->ith / params->nth,
                  n_blocks * (params->ith + 1) / params->nth, buffers);
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

const Int8Kernel* repacked_kernel(const Int8GemmKernels& kernels, ggml_type type) {
  switch (type) {
    case GGML_TYPE_Q4_0:
      return &kernels.q4_0x8;
    case GGML_TYPE_Q4_K:
      return &kernels.q4_kx8;
    default:
      return nullptr;
  }
}

const Int8Kernel* own_kernel(const Int8GemmKernels& kernels, ggml_type type, bool is_panel) {
  switch (type) {
    case GGML_TYPE_Q4_0:
      return is_panel ? &kernels.q4_0_panel : &kernels.q4_0;
    case GGML_TYPE_Q4_1:
      return is_panel ? &kernels.q4_1_panel : &kernels.q4_1;
    case GGML_TYPE_Q5_0:
      return is_panel ? &kernels.q5_0_panel : &kernels.q5_0;
    case GGML_TYPE_Q5_1:
      return is_panel ? &kernels.q5_1_panel : &kernels.q5_1;
    case GGML_TYPE_Q8_0:
      return is_panel ? &kernels.q8_0_panel : &kernels.q8_0;
    case GGML_TYPE_Q4_K:
      return is_panel ? &kernels.q4_k_panel : &kernels.q4_k;
    case GGML_TYPE_Q5_K:
      return is_panel ? &kernels.q5_k_panel : &kernels.q5_k;
    case GGML_TYPE_Q6_K:
      return is_panel ? &kernels.q6_k_panel : &kernels.q6_k;
    default:
      return nullptr;
  }
}

// The kernel for some weights, and where it finds them.
struct Weights {
  Weights(const Int8GemmKernels& kernels, const ggml_tensor* weights) : tensor(weights) {
    if (is_repacked(weights)) {
      kernel = repacked_kernel(kernels, weights->type);
      rows_together = kRepackedRows;
    } else if (is_plain(weights)) {
      panels = panels_of(weights);
      if (panels != nullptr) n_panel_bytes = panel_bytes(weights);
      kernel = own_kernel(kernels, weights->type, panels != nullptr);
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
  size_t n_panel_bytes = 0;
  int rows_together = 1;
};

}  // namespace

bool MulMatOp::can_compute(const ggml_tensor* op) const {
  const Int8Kernel* kernel = Weights(kernels_, op->src[0]).kernel;
  return kernel != nullptr && is_product(op, kernel->n_min_columns);
}

bool MulMatOp::work_size(int n_threads, const ggml_tensor* op, size_t& size) {
  size = std::max(size, Int8Buffers::shared_bytes(op) + n_threads * Int8Buffers::sums_bytes(op));
  return true;
}

bool MulMatOp::compute_forward(ggml_compute_params* params, ggml_tensor* op) {
  const Weights weights(kernels_, op->src[0]);
  const Int8Kernel& kernel = *weights.kernel;
  const Int8Buffers buffers(op, params->wdata, params->ith);
  begin_panels(params);
  quantize_columns(kernel.quantize, params, op->src[1], buffers);
  ggml_barrier(params->threadpool);
  const Int8Columns columns{buffers.q, buffers.d, buffers.column_sums,
                            static_cast<int>(op->src[0]->ne[0]), static_cast<int>(op->ne[1])};
  alignas(kCacheLine) float few_sums[kFewColumns * kGemmRows];
  float* const sums = columns.n_columns <= kFewColumns ? few_sums : buffers.sums;
  for_each_panel(params, op, [&](int64_t first_row) {
    const char* rows[kGemmRows];
    weights.find(first_row, rows);
    kernel.multiply(rows, columns, sums);
    store_rows(op, first_row, sums);
  });
  return true;
}

}  // namespace pyserve
