// GGML_OP_MUL_MAT by our kernels, for quantized weights.
#pragma once

#include "kernels/matmul/weight_types.h"
#include "traits.h"

namespace pyserve {

// Activations become 8-bit integers, as the vendored library has them, and the dot products are
// integer instructions.
//
// Neighbouring products of the same columns, as gate and up of a layer, round them once. The vendor
// plans the nodes of a graph in the order in which they are computed, so the plan of one node sees
// which was before it: `extra` of a product is the one that leaves it the columns in the work
// buffer, nullptr when it rounds them itself. A debug build checks that every thread comes to it
// right from that one, with the same buffer.
//
// Thread: compute threads of any pool; what is planned is the planning thread's.
class MulMatOp final : public ggml::cpu::tensor_traits {
 public:
  explicit MulMatOp(const Int8GemmKernels& kernels) : kernels_(kernels) {}

  // Whether the op, a GGML_OP_MUL_MAT, has weights of a type and layout that are known here, and
  // enough columns of floats to be faster than the vendored product.
  bool can_compute(const ggml_tensor* op) const;
  bool work_size(int n_threads, const ggml_tensor* op, size_t& size) override;
  bool compute_forward(ggml_compute_params* params, ggml_tensor* op) override;

  // Some other op comes: a product after it does not find the columns of one before it.
  static void forget() {
    last_planned_ = Planned{};
    last_computed_ = Computed{};
  }

 private:
  // A product, and how it leaves which columns in the work buffer. Of an earlier graph, tensors may
  // be gone: they are compared, not looked at.
  struct Planned {
    const ggml_tensor* op;
    const ggml_tensor* columns;
    QuantizeFn quantize;
    bool is_little;
  };

  struct Computed {
    const ggml_tensor* op;
    const void* work_buffer;
  };

  // The last node of the graph that the thread plans, or computes, when it is a product.
  static inline thread_local Planned last_planned_{};
  static inline thread_local Computed last_computed_{};
  const Int8GemmKernels& kernels_;
};

}  // namespace pyserve
