#include "kernels/geglu/op.h"

#include <algorithm>

namespace pyserve {
namespace {

const float* row(const ggml_tensor* tensor, int64_t i) {
  return reinterpret_cast<const float*>(static_cast<const char*>(tensor->data) + i * tensor->nb[1]);
}

}  // namespace

bool GegluOp::can_compute(const ggml_tensor* op) {
  if (ggml_get_glu_op(op) != GGML_GLU_OP_GEGLU || op->type != GGML_TYPE_F32) return false;
  const auto is_in_rows = [](const ggml_tensor* x) {
    return x->type == GGML_TYPE_F32 && ggml_is_contiguous_1(x);
  };
  return is_in_rows(op) && is_in_rows(op->src[0]) &&
         (op->src[1] == nullptr || is_in_rows(op->src[1]));
}

bool GegluOp::work_size(int /*n_threads*/, const ggml_tensor* /*op*/, size_t& /*size*/) {
  return true;
}

// Elements are shared evenly, also those of a single row.
bool GegluOp::compute_forward(ggml_compute_params* params, ggml_tensor* op) {
  const ggml_tensor* x = op->src[0];
  const bool is_half = op->src[1] == nullptr;  // the gate is the other half of each row
  const ggml_tensor* gate = is_half ? x : op->src[1];
  const int64_t n = op->ne[0];
  const bool is_swapped = ggml_get_op_params_i32(op, 1) != 0;
  const int64_t x_at = is_half && is_swapped ? n : 0;
  const int64_t gate_at = is_half && !is_swapped ? n : 0;
  const int64_t n_all = n * ggml_nrows(op);
  const int64_t end = n_all * (params->ith + 1) / params->nth;
  for (int64_t at = n_all * params->ith / params->nth; at < end;) {
    const int64_t i = at / n;
    const int64_t from = at % n;
    const int64_t n_here = std::min(n - from, end - at);
    geglu_(row(x, i) + x_at + from, row(gate, i) + gate_at + from, static_cast<int>(n_here),
           const_cast<float*>(row(op, i)) + from);
    at += n_here;
  }
  return true;
}

}  // namespace pyserve
