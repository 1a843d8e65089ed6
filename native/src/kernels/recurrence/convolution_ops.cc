// The nodes around a convolution over tokens, which keeps the last of them.

#include "kernels/recurrence/ops.h"
#include "kernels/recurrence/shares.h"

namespace pyserve {
namespace {

constexpr int64_t kChannelsTogether = 16;

}  // namespace

bool ConvolutionOp::can_compute(const ggml_tensor* op) {
  const ggml_tensor* x = op->src[0];
  const ggml_tensor* taps = op->src[1];
  return is_floats(op) && is_floats(x) && is_floats(taps) && ggml_is_contiguous(taps) &&
         taps->ne[0] <= kMostTaps;
}

// [taps - 1 + tokens, channels, requests], [taps, channels] -> [channels, tokens, requests].
bool ConvolutionOp::compute_forward(ggml_compute_params* params, ggml_tensor* op) {
  const ggml_tensor* x = op->src[0];
  const ggml_tensor* taps = op->src[1];
  const Share share(params, op->ne[0], kChannelsTogether);
  for (int64_t request = 0; request < op->ne[2]; ++request) {
    kernels_.convolve({
        .x = floats(x, share.begin, request),
        .x_stride = stride(x, 1),
        .taps = floats(taps, share.begin),
        .n_taps = static_cast<int>(taps->ne[0]),
        .n_channels = static_cast<int>(share.end - share.begin),
        .n_tokens = static_cast<int>(op->ne[1]),
        .y = floats_of_result(op) + request * stride(op, 2) + share.begin,
        .y_stride = stride(op, 1),
    });
  }
  return true;
}

bool ConcatOp::can_compute(const ggml_tensor* op) {
  const ggml_tensor* kept = op->src[0];
  const ggml_tensor* more = op->src[1];
  return ggml_get_op_params_i32(op, 0) == 0 && is_floats(op) && is_floats(kept) &&
         more->type == GGML_TYPE_F32 && more->nb[1] == sizeof(float) && op->ne[3] == 1;
}

// [kept tokens, channels, requests], [tokens, channels, requests] with channels that are neighbours
// -> [all tokens, channels, requests].
bool ConcatOp::compute_forward(ggml_compute_params* params, ggml_tensor* op) {
  const ggml_tensor* kept = op->src[0];
  const ggml_tensor* more = op->src[1];
  const Share share(params, op->ne[1], kChannelsTogether);
  for (int64_t request = 0; request < op->ne[2]; ++request) {
    float* const to = floats_of_result(op) + request * stride(op, 2) + share.begin * stride(op, 1);
    for (int64_t i = share.begin; i < share.end; ++i) {
      const float* from = floats(kept, i, request);
      std::copy_n(from, kept->ne[0], to + (i - share.begin) * stride(op, 1));
    }
    kernels_.transpose({
        .from = floats(more, share.begin, request),
        .from_stride = stride(more, 0),
        .to = to + kept->ne[0],
        .to_stride = stride(op, 1),
        .n_rows = static_cast<int>(share.end - share.begin),
        .n_columns = static_cast<int>(more->ne[0]),
    });
  }
  return true;
}

}  // namespace pyserve
