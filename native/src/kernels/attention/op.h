// GGML_OP_FLASH_ATTN_EXT by our kernel: cell lists instead of masks, heads of a group together,
// 32-bit sums.
#pragma once

#include "kernels/attention/attention.h"
#include "traits.h"

namespace pyserve {

// A mask row becomes a list of cells, so that what it costs depends on the cells a token sees, not
// on the size of the cache. Work is handed out token by token; with few tokens the cells of each
// are split among threads. A token's result is the same bits whatever else is in the batch or in
// the cache, and on any number of threads. Thread: compute threads of any pool; has no state.
class FlashAttnOp final : public ggml::cpu::tensor_traits {
 public:
  explicit FlashAttnOp(const AttentionKernels& kernels) : kernels_(kernels) {}

  // K and V of the types that `cell_type` knows, a 16-bit mask of -infinity and, with ALiBi,
  // distances, else 0.
  static bool can_compute(const ggml_tensor* op);

  bool work_size(int n_threads, const ggml_tensor* op, size_t& size) override;
  bool compute_forward(ggml_compute_params* params, ggml_tensor* op) override;

 private:
  const AttentionKernels& kernels_;
};

}  // namespace pyserve
