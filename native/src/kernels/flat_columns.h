// Products whose columns lie in more than two dimensions, by the kernels for two.
#pragma once

#include "kernels/matmul/op.h"

namespace pyserve {

// Models with recurrent layers keep the columns of each request apart, [values, tokens, requests],
// although all are multiplied by the same weights. Thread: as MulMatOp.
class FlatColumnsOp final : public ggml::cpu::tensor_traits {
 public:
  explicit FlatColumnsOp(MulMatOp& product) : product_(product) {}

  // Whether the op, a GGML_OP_MUL_MAT, is one that `product` knows once its columns are one run.
  bool can_compute(const ggml_tensor* op) const;
  bool work_size(int n_threads, const ggml_tensor* op, size_t& size) override;
  bool compute_forward(ggml_compute_params* params, ggml_tensor* op) override;

 private:
  MulMatOp& product_;
};

}  // namespace pyserve
