// The nodes that take states through tokens.

#include <cmath>

#include "kernels/recurrence/ops.h"
#include "kernels/recurrence/shares.h"

namespace pyserve {
namespace {

float softplus(float x) {
  constexpr float kLinear = 20;
  return x > kLinear ? x : std::log1p(std::exp(x));
}

bool are_floats(const ggml_tensor* op, int n_sources) {
  for (int i = 0; i < n_sources; ++i) {
    if (!is_floats(op->src[i])) return false;
  }
  return op->type == GGML_TYPE_F32;
}

// Of all states that are wanted the first is the last token's.
int n_slots(const ggml_tensor* op) { return ggml_get_op_params_i32(op, 0); }

// What comes with each token: B, C, its decay, its step.
int64_t scan_floats(const ggml_tensor* op) {
  return (2 * op->src[0]->ne[0] + 2) * tokens_together(op->src[1]->ne[2], n_slots(op));
}
// q, k, its decays.
int64_t delta_floats(const ggml_tensor* op) {
  const int64_t n = 2 * op->src[2]->ne[0] + op->src[3]->ne[0];
  return n * tokens_together(op->src[2]->ne[2], n_slots(op));
}
// r, w, k, a, b.
int64_t wkv_floats(const ggml_tensor* op) {
  return 5 * op->src[1]->ne[0] * tokens_together(op->src[1]->ne[2] / op->src[6]->ne[1], 1);
}

// Rows on their way through tokens from `begin` on.
StateRows rows_from(int64_t begin, const StateRows& of_all, int64_t n_tokens) {
  StateRows rows = of_all;
  if (begin > 0) rows.before = rows.after;
  rows.n_tokens = static_cast<int>(n_tokens);
  return rows;
}

}  // namespace

bool ScanOp::can_compute(const ggml_tensor* op) {
  return are_floats(op, 6) && op->src[3]->ne[0] == 1 && is_state_length(op->src[0]->ne[0]);
}

bool ScanOp::work_size(int n_threads, const ggml_tensor* op, size_t& size) {
  size = std::max(size, n_threads * scratch_bytes(scan_floats(op)));
  return true;
}

// [n, rows, heads, slots of states], [rows, heads, tokens, requests], [heads, tokens, requests],
// [1, heads], [n, groups, tokens, requests] twice, [requests] -> outputs of the tokens, states.
bool ScanOp::compute_forward(ggml_compute_params* params, ggml_tensor* op) {
  const ggml_tensor* states = op->src[0];
  const ggml_tensor* x = op->src[1];
  const ggml_tensor* dt = op->src[2];
  const ggml_tensor* b = op->src[4];
  const ggml_tensor* c = op->src[5];
  const auto* slots = static_cast<const int32_t*>(op->src[6]->data);
  const int64_t n = states->ne[0];
  const int64_t n_rows = x->ne[0];
  const int64_t n_heads = x->ne[1];
  const int64_t n_tokens = x->ne[2];
  const int64_t n_requests = x->ne[3];
  const int64_t n_group = n_heads / b->ne[1];
  const int64_t n_together = tokens_together(n_tokens, n_slots(op));
  float* const place = scratch(params, scan_floats(op));
  float* const y = floats_of_result(op);
  float* const after = y + ggml_nelements(x);
  for_each_head(params, n_heads * n_requests, n_rows, [&](int64_t i, int64_t first, int64_t n_own) {
    const int64_t head = i % n_heads;
    const int64_t request = i / n_heads;
    const float a = floats(op->src[3])[head];
    const StateRows rows{.before = floats(states, first, head, slots[request]),
                         .after = after + (i * n_rows + first) * n,
                         .slot_stride = static_cast<size_t>(n_requests * n_heads * n_rows * n),
                         .n_slots = n_slots(op),
                         .n = static_cast<int>(n),
                         .n_rows = static_cast<int>(n_own),
                         .n_tokens = 0};
    for_some_tokens(n_tokens, n_together, [&](int64_t begin, int64_t n_here) {
      TokenPacker packer(place, n_here);
      float* const step = packer.take(1);
      float* const decay = packer.take(1);
      for (int64_t t = 0; t < n_here; ++t) {
        step[t] = softplus(floats(dt, begin + t, request)[head]);
        decay[t] = std::exp(step[t] * a);
      }
      kernels_.scan({
          .state = rows_from(begin, rows, n_here),
          .b = packer.pack(floats(b, head / n_group, begin, request), stride(b, 2), n),
          .c = packer.pack(floats(c, head / n_group, begin, request), stride(c, 2), n),
          .x = {floats(x, head, begin, request) + first, stride(x, 2)},
          .decay = {decay, 1},
          .step = {step, 1},
          .y = y + ((request * n_tokens + begin) * n_heads + head) * n_rows + first,
          .y_stride = static_cast<size_t>(n_heads * n_rows),
      });
    });
  });
  return true;
}

bool DeltaOp::can_compute(const ggml_tensor* op) {
  const int64_t n = op->src[2]->ne[0];
  return are_floats(op, 6) && is_state_length(n) && op->src[0]->ne[0] == n &&
         op->src[1]->ne[0] == n;
}

bool DeltaOp::work_size(int n_threads, const ggml_tensor* op, size_t& size) {
  size = std::max(size, n_threads * scratch_bytes(delta_floats(op)));
  return true;
}

// q, k [n, key heads, tokens, requests], v [n, heads, tokens, requests], decays [1 or n, heads,
// tokens, requests], beta [1, heads, tokens, requests], states [n, n, heads, requests] -> outputs
// of the tokens, states.
bool DeltaOp::compute_forward(ggml_compute_params* params, ggml_tensor* op) {
  const ggml_tensor* q = op->src[0];
  const ggml_tensor* k = op->src[1];
  const ggml_tensor* v = op->src[2];
  const ggml_tensor* g = op->src[3];
  const ggml_tensor* beta = op->src[4];
  const ggml_tensor* states = op->src[5];
  const int64_t n = v->ne[0];
  const int64_t n_heads = v->ne[1];
  const int64_t n_tokens = v->ne[2];
  const int64_t n_requests = v->ne[3];
  const auto n_decay = static_cast<size_t>(g->ne[0]);
  const int64_t n_together = tokens_together(n_tokens, n_slots(op));
  float* const place = scratch(params, delta_floats(op));
  float* const y = floats_of_result(op);
  float* const after = y + ggml_nelements(v);
  // Several heads of v, and several requests, may have the same q or k.
  const auto shared = [&](const ggml_tensor* x, int64_t head, int64_t token, int64_t request) {
    return floats(x, head % x->ne[1], token, request / (n_requests / x->ne[3]));
  };
  for_each_head(params, n_heads * n_requests, n, [&](int64_t i, int64_t first, int64_t n_own) {
    const int64_t head = i % n_heads;
    const int64_t request = i / n_heads;
    const StateRows rows{.before = floats(states, first, head, request),
                         .after = after + (i * n + first) * n,
                         .slot_stride = static_cast<size_t>(n_requests * n_heads * n * n),
                         .n_slots = n_slots(op),
                         .n = static_cast<int>(n),
                         .n_rows = static_cast<int>(n_own),
                         .n_tokens = 0};
    for_some_tokens(n_tokens, n_together, [&](int64_t begin, int64_t n_here) {
      TokenPacker packer(place, n_here);
      float* const decay = packer.take(g->ne[0]);
      for (int64_t t = 0; t < n_here; ++t) {
        const float* const from = floats(g, head, begin + t, request);
        for (size_t d = 0; d < n_decay; ++d) decay[t * n_decay + d] = std::exp(from[d]);
      }
      kernels_.delta({
          .state = rows_from(begin, rows, n_here),
          .q = packer.pack(shared(q, head, begin, request), stride(q, 2), n),
          .k = packer.pack(shared(k, head, begin, request), stride(k, 2), n),
          .v = {floats(v, head, begin, request) + first, stride(v, 2)},
          .decay = {decay, n_decay},
          .beta = {floats(beta, head, begin, request), stride(beta, 2)},
          .scale = 1 / std::sqrt(static_cast<float>(n)),
          .is_decay_of_each = n_decay > 1,
          .y = y + ((request * n_tokens + begin) * n_heads + head) * n + first,
          .y_stride = static_cast<size_t>(n_heads * n),
      });
    });
  });
  return true;
}

bool WkvOp::can_compute(const ggml_tensor* op) {
  return are_floats(op, 7) && is_state_length(op->src[1]->ne[0]);
}

bool WkvOp::work_size(int n_threads, const ggml_tensor* op, size_t& size) {
  size = std::max(size, n_threads * scratch_bytes(wkv_floats(op)));
  return true;
}

// Six of [n, heads, tokens of all requests], states [n * n * heads, requests] -> outputs of the
// tokens, states.
bool WkvOp::compute_forward(ggml_compute_params* params, ggml_tensor* op) {
  const int64_t n = op->src[1]->ne[0];
  const int64_t n_heads = op->src[1]->ne[1];
  const int64_t n_requests = op->src[6]->ne[1];
  const int64_t n_tokens = op->src[1]->ne[2] / n_requests;
  const int64_t n_all = n_heads * n;  // numbers of a token
  float* const place = scratch(params, wkv_floats(op));
  float* const y = floats_of_result(op);
  float* const after = y + n_all * n_tokens * n_requests;
  for_each_head(params, n_heads * n_requests, n, [&](int64_t i, int64_t first, int64_t n_own) {
    const StateRows rows{.before = floats(op->src[6]) + (i * n + first) * n,
                         .after = after + (i * n + first) * n,
                         .slot_stride = 0,
                         .n_slots = 1,
                         .n = static_cast<int>(n),
                         .n_rows = static_cast<int>(n_own),
                         .n_tokens = 0};
    for_some_tokens(n_tokens, tokens_together(n_tokens, 1), [&](int64_t begin, int64_t n_here) {
      const int64_t at = (i / n_heads * n_tokens + begin) * n_all + i % n_heads * n;
      TokenPacker packer(place, n_here);
      const auto packed = [&](int source) {
        return packer.pack(floats(op->src[source]) + at, n_all, n);
      };
      kernels_.wkv({
          .state = rows_from(begin, rows, n_here),
          .r = packed(0),
          .w = packed(1),
          .k = packed(2),
          .a = packed(4),
          .b = packed(5),
          .v = {floats(op->src[3]) + at + first, static_cast<size_t>(n_all)},
          .y = y + at + first,
          .y_stride = static_cast<size_t>(n_all),
      });
    });
  });
  return true;
}

}  // namespace pyserve
