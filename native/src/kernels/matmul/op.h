// GGML_OP_MUL_MAT by our kernels.
#pragma once

#include "kernels/matmul/weight_types.h"
#include "traits.h"

namespace pyserve {

// Activations become 8-bit integers, as the vendored library has them, and the dot products are
// integer instructions; for weights that are floats they stay floats. Neighbouring products of the
// same columns round them once (left_columns.h).
//
// Thread: compute threads of any pool.
class MulMatOp final : public ggml::cpu::tensor_traits {
 public:
  explicit MulMatOp(const Int8GemmKernels& kernels) : kernels_(kernels) {}

  // Whether the op, a GGML_OP_MUL_MAT, has weights of a type and layout that are known here, and
  // enough columns of floats to be faster than the vendored product.
  bool can_compute(const ggml_tensor* op) const;
  bool work_size(int n_threads, const ggml_tensor* op, size_t& size) override;
  bool compute_forward(ggml_compute_params* params, ggml_tensor* op) override;

 private:
  const Int8GemmKernels& kernels_;
};

}  // namespace pyserve
