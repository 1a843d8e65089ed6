// GGML_OP_GLU of the kind GEGLU by our kernel: the vendored one looks every element up in a table
// of 16-bit floats, one after the other.
#pragma once

#include "kernels/geglu/geglu.h"
#include "traits.h"

namespace pyserve {

// Thread: compute threads of any pool; has no state.
class GegluOp final : public ggml::cpu::tensor_traits {
 public:
  explicit GegluOp(GegluFn geglu) : geglu_(geglu) {}

  // Whether the op, a GGML_OP_GLU, is GEGLU of 32-bit floats.
  static bool can_compute(const ggml_tensor* op);

  bool work_size(int n_threads, const ggml_tensor* op, size_t& size) override;
  bool compute_forward(ggml_compute_params* params, ggml_tensor* op) override;

 private:
  GegluFn geglu_;
};

}  // namespace pyserve
