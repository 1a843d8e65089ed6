#include "kernels/scaled_rows.h"

#include "ggml-cpu-impl.h"
#include "ggml.h"

namespace pyserve {

bool ScaledRowsOp::can_compute(const ggml_tensor* op) {
  const ggml_tensor* x = op->src[0];
  const ggml_tensor* factors = op->src[1];
  const auto is_floats = [](const ggml_tensor* t) { return t->type == GGML_TYPE_F32; };
  return factors->ne[0] == 1 && x->ne[0] > 1 && is_floats(op) && is_floats(x) &&
         is_floats(factors) && x->nb[0] == sizeof(float) && op->nb[0] == sizeof(float);
}

bool ScaledRowsOp::work_size(int /*n_threads*/, const ggml_tensor* /*op*/, size_t& /*size*/) {
  return true;
}

bool ScaledRowsOp::compute_forward(ggml_compute_params* params, ggml_tensor* op) {
  const ggml_tensor* x = op->src[0];
  const ggml_tensor* factors = op->src[1];
  const int64_t n_rows = ggml_nrows(op);
  const int64_t end = n_rows * (params->ith + 1) / params->nth;
  for (int64_t row = n_rows * params->ith / params->nth; row < end; ++row) {
    const int64_t i1 = row % op->ne[1];
    const int64_t i2 = row / op->ne[1] % op->ne[2];
    const int64_t i3 = row / (op->ne[1] * op->ne[2]);
    const auto at = [](const ggml_tensor* t, int64_t j1, int64_t j2, int64_t j3) {
      char* data = static_cast<char*>(t->data) + j1 * t->nb[1] + j2 * t->nb[2] + j3 * t->nb[3];
      return reinterpret_cast<float*>(data);
    };
    const float factor =
        *at(factors, i1 % factors->ne[1], i2 % factors->ne[2], i3 % factors->ne[3]);
    const float* from = at(x, i1, i2, i3);
    float* to = at(op, i1, i2, i3);
    for (int64_t i = 0; i < op->ne[0]; ++i) to[i] = from[i] * factor;
  }
  return true;
}

}  // namespace pyserve
