// GGML_OP_MUL_MAT by our kernels, for quantized weights and more than a few columns.
#pragma once

#include "kernels/int8_gemm.h"
#include "kernels/panel_gemm.h"
#include "traits.h"

namespace pyserve {

// Thread: compute threads of any pool; has no state.
class MulMatOp : public ggml::cpu::tensor_traits {
 public:
  // Whether the op, a GGML_OP_MUL_MAT, has weights of a type and layout that are known here, and
  // enough columns of floats to be faster than the vendored product.
  virtual bool can_compute(const ggml_tensor* op) const = 0;
};

// Weights become floats, a panel at a time, once for all columns. Activations stay 32-bit floats,
// so results are closer to the exact product than the vendored ones.
class FloatMulMatOp final : public MulMatOp {
 public:
  static constexpr int kMinColumns = 8;  // with fewer the unpacking does not pay

  explicit FloatMulMatOp(const GemmKernels& kernels) : kernels_(kernels) {}

  bool can_compute(const ggml_tensor* op) const override;
  bool work_size(int n_threads, const ggml_tensor* op, size_t& size) override;
  bool compute_forward(ggml_compute_params* params, ggml_tensor* op) override;

 private:
  const GemmKernels& kernels_;
};

// Activations become 8-bit integers, as the vendored library has them, and the dot products are
// integer instructions, three times as fast where the CPU has them.
class Int8MulMatOp final : public MulMatOp {
 public:
  explicit Int8MulMatOp(const Int8GemmKernels& kernels) : kernels_(kernels) {}

  bool can_compute(const ggml_tensor* op) const override;
  bool work_size(int n_threads, const ggml_tensor* op, size_t& size) override;
  bool compute_forward(ggml_compute_params* params, ggml_tensor* op) override;

 private:
  const Int8GemmKernels& kernels_;
};

}  // namespace pyserve
