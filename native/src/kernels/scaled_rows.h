// GGML_OP_MUL of rows by one number each, which the vendored library does number by number.
#pragma once

#include "traits.h"

namespace pyserve {

// Thread: compute threads of any pool; has no state. The product of two floats has the same bits
// everywhere.
class ScaledRowsOp final : public ggml::cpu::tensor_traits {
 public:
  static bool can_compute(const ggml_tensor* op);
  bool work_size(int n_threads, const ggml_tensor* op, size_t& size) override;
  bool compute_forward(ggml_compute_params* params, ggml_tensor* op) override;
};

}  // namespace pyserve
