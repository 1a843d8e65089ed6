// GGML_OP_MUL_MAT_ID by our kernels: each column is multiplied with a few of many matrices (a
// mixture of experts).
#pragma once

#include "kernels/matmul/weight_types.h"
#include "traits.h"

namespace pyserve {

// The columns of an expert are put side by side, rounded to 8 bits once for all experts that want
// them, and multiplied as those of any product. Experts that no column wants are not read. Gate and
// up of a layer group and round them once (left_columns.h).
//
// Thread: compute threads of any pool.
class MulMatIdOp final : public ggml::cpu::tensor_traits {
 public:
  explicit MulMatIdOp(const Int8GemmKernels& kernels) : kernels_(kernels) {}

  // Whether the op, a GGML_OP_MUL_MAT_ID, has weights of a type and layout that are known here.
  bool can_compute(const ggml_tensor* op) const;
  bool work_size(int n_threads, const ggml_tensor* op, size_t& size) override;
  bool compute_forward(ggml_compute_params* params, ggml_tensor* op) override;

 private:
  const Int8GemmKernels& kernels_;
};

}  // namespace pyserve
