#include "kernels/single_column_op.h"

#include <algorithm>
#include <cstring>

#include "ggml-cpu.h"
#include "llamafile/sgemm.h"

namespace pyserve {
namespace {

bool are_floats(ggml_type type) {
  return type == GGML_TYPE_F32 || type == GGML_TYPE_F16 || type == GGML_TYPE_BF16;
}

// The column as the vendored product wants it for weights of `type`.
void convert(const float* column, int64_t n, ggml_type type, void* to) {
  if (type == GGML_TYPE_F32) {
    std::memcpy(to, column, n * sizeof(float));
  } else {
    ggml_get_type_traits_cpu(type)->from_float(column, to, n);
  }
}

// The work buffer: [two columns of results][the column, twice].
size_t results_bytes(const ggml_tensor* op) { return 2 * op->ne[0] * sizeof(float); }

}  // namespace

bool SingleColumnOp::can_compute(const ggml_tensor* op) {
  const ggml_tensor* weights = op->src[0];
  return are_floats(weights->type) && op->src[1]->type == GGML_TYPE_F32 &&
         ggml_is_matrix(weights) && ggml_nrows(op->src[1]) == 1 && ggml_is_contiguous(op->src[1]) &&
         weights->nb[0] == ggml_type_size(weights->type) && op->nb[0] == sizeof(float);
}

bool SingleColumnOp::work_size(int /*n_threads*/, const ggml_tensor* op, size_t& size) {
  const ggml_tensor* weights = op->src[0];
  size = std::max(size, results_bytes(op) + 2 * ggml_row_size(weights->type, weights->ne[0]));
  return true;
}

bool SingleColumnOp::compute_forward(ggml_compute_params* params, ggml_tensor* op) {
  const ggml_tensor* weights = op->src[0];
  const int64_t n_rows = weights->ne[1];
  const int64_t n_k = weights->ne[0];
  auto* results = static_cast<float*>(params->wdata);
  char* columns = static_cast<char*>(params->wdata) + results_bytes(op);
  if (params->ith == 0) {
    const size_t n_bytes = ggml_row_size(weights->type, n_k);
    convert(static_cast<const float*>(op->src[1]->data), n_k, weights->type, columns);
    std::memcpy(columns + n_bytes, columns, n_bytes);
  }
  ggml_barrier(params->threadpool);
  const auto row_stride = static_cast<int64_t>(weights->nb[1] / ggml_type_size(weights->type));
  if (!llamafile_sgemm(params, n_rows, 2, n_k, weights->data, row_stride, columns, n_k, results,
                       n_rows, weights->type, weights->type, GGML_TYPE_F32)) {
    return false;
  }
  const int64_t begin = n_rows * params->ith / params->nth;
  const int64_t end = n_rows * (params->ith + 1) / params->nth;
  std::copy(results + begin, results + end, static_cast<float*>(op->data) + begin);
  return true;
}

}  // namespace pyserve
