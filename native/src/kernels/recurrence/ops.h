// Nodes of recurrent layers by our kernels: a thread takes a run of rows of states, or of channels,
// through all tokens, where the vendored ones take all rows through one token after the other.
#pragma once

#include "kernels/recurrence/recurrence.h"
#include "traits.h"

namespace pyserve {

// What they share. Thread: compute threads of any pool; has no state. A request's numbers are the
// same bits whatever else is in the batch, on any number of threads, and however its tokens are cut
// into batches.
class RecurrenceOp : public ggml::cpu::tensor_traits {
 public:
  explicit RecurrenceOp(const RecurrenceKernels& kernels) : kernels_(kernels) {}
  bool work_size(int /*n_threads*/, const ggml_tensor* /*op*/, size_t& /*size*/) override {
    return true;
  }

 protected:
  const RecurrenceKernels& kernels_;
};

// GGML_OP_SSM_SCAN of Mamba-2, whose decay is one number per head.
class ScanOp final : public RecurrenceOp {
 public:
  using RecurrenceOp::RecurrenceOp;
  static bool can_compute(const ggml_tensor* op);
  bool work_size(int n_threads, const ggml_tensor* op, size_t& size) override;
  bool compute_forward(ggml_compute_params* params, ggml_tensor* op) override;
};

// GGML_OP_GATED_DELTA_NET.
class DeltaOp final : public RecurrenceOp {
 public:
  using RecurrenceOp::RecurrenceOp;
  static bool can_compute(const ggml_tensor* op);
  bool work_size(int n_threads, const ggml_tensor* op, size_t& size) override;
  bool compute_forward(ggml_compute_params* params, ggml_tensor* op) override;
};

// GGML_OP_RWKV_WKV7.
class WkvOp final : public RecurrenceOp {
 public:
  using RecurrenceOp::RecurrenceOp;
  static bool can_compute(const ggml_tensor* op);
  bool work_size(int n_threads, const ggml_tensor* op, size_t& size) override;
  bool compute_forward(ggml_compute_params* params, ggml_tensor* op) override;
};

// GGML_OP_SSM_CONV.
class ConvolutionOp final : public RecurrenceOp {
 public:
  using RecurrenceOp::RecurrenceOp;
  static bool can_compute(const ggml_tensor* op);
  bool compute_forward(ggml_compute_params* params, ggml_tensor* op) override;
};

// GGML_OP_CONCAT of what a convolution remembers and the columns of new tokens, transposed.
class ConcatOp final : public RecurrenceOp {
 public:
  using RecurrenceOp::RecurrenceOp;
  static bool can_compute(const ggml_tensor* op);
  bool compute_forward(ggml_compute_params* params, ggml_tensor* op) override;
};

}  // namespace pyserve
