// Weights of floats times one column, rounded like one of many columns.
#pragma once

#include "traits.h"

namespace pyserve {

// The vendored library has one product for many columns of 16 or 32-bit floats, whose sums do not
// depend on how many there are, and another for a single one, which adds up in another order. This
// gives the single column to the first, twice. Thread: compute threads of any pool; has no state.
class SingleColumnOp final : public ggml::cpu::tensor_traits {
 public:
  // One matrix of 16 or 32-bit floats times one column.
  static bool can_compute(const ggml_tensor* op);

  bool work_size(int n_threads, const ggml_tensor* op, size_t& size) override;
  // False, with nothing done, for the shapes that the vendored product for many refuses.
  bool compute_forward(ggml_compute_params* params, ggml_tensor* op) override;
};

}  // namespace pyserve
