// How the rows of a node are dealt out, and where its numbers are.
#pragma once

#include <algorithm>
#include <cstdint>

#include "ggml-cpu-impl.h"
#include "ggml.h"
#include "kernels/recurrence/recurrence.h"

namespace pyserve {

inline const float* floats(const ggml_tensor* x, int64_t i1 = 0, int64_t i2 = 0, int64_t i3 = 0) {
  return reinterpret_cast<const float*>(static_cast<const char*>(x->data) + i1 * x->nb[1] +
                                        i2 * x->nb[2] + i3 * x->nb[3]);
}
inline float* floats_of_result(ggml_tensor* x) { return static_cast<float*>(x->data); }
inline size_t stride(const ggml_tensor* x, int dimension) {
  return x->nb[dimension] / sizeof(float);
}
inline bool is_floats(const ggml_tensor* x) {
  return x->type == GGML_TYPE_F32 && x->nb[0] == sizeof(float);
}

// A thread's part of n, whole groups of `n_group`.
struct Share {
  Share(const ggml_compute_params* params, int64_t n, int64_t n_group) {
    const int64_t n_groups = (n + n_group - 1) / n_group;
    begin = std::min(n, n_groups * params->ith / params->nth * n_group);
    end = std::min(n, n_groups * (params->ith + 1) / params->nth * n_group);
  }
  int64_t begin;
  int64_t end;
};

// Calls f(head, first_row, n_rows) for the thread's part of the rows of all heads.
template <typename F>
void for_each_head(const ggml_compute_params* params, int64_t n_heads, int64_t n_rows, F f) {
  constexpr int64_t kRowsTogether = 4;
  const Share share(params, n_heads * n_rows, kRowsTogether);
  for (int64_t at = share.begin; at < share.end;) {
    const int64_t head = at / n_rows;
    const int64_t end = std::min(share.end, (head + 1) * n_rows);
    f(head, at % n_rows, end - at);
    at = end;
  }
}

// A thread's place in the work buffer, of n floats each.
inline size_t scratch_bytes(int64_t n_floats) {
  constexpr int64_t kLineFloats = 16;
  return (n_floats + kLineFloats - 1) / kLineFloats * kLineFloats * sizeof(float);
}
inline float* scratch(const ggml_compute_params* params, int64_t n_floats) {
  return reinterpret_cast<float*>(static_cast<char*>(params->wdata) +
                                  params->ith * scratch_bytes(n_floats));
}

// How many tokens of a prompt are computed together: a few, so that what comes with them stays near
// while all rows of a head see it; all of them when more states than the last are wanted.
inline int64_t tokens_together(int64_t n_tokens, int n_slots) {
  constexpr int64_t kTokens = 16;
  return n_slots > 1 ? n_tokens : std::min(n_tokens, kTokens);
}

// Puts what comes with some tokens side by side, in a thread's place.
class TokenPacker {
 public:
  TokenPacker(float* place, int64_t n_tokens) : next_(place), n_tokens_(n_tokens) {}

  // Room for n numbers of every token.
  float* take(int64_t n) {
    float* const taken = next_;
    next_ += n * n_tokens_;
    return taken;
  }
  // n numbers of every token, which are `stride` floats from the next one's.
  TokenFloats pack(const float* from, size_t stride, int64_t n) {
    if (n_tokens_ == 1) return {from, stride};
    float* const to = take(n);
    for (int64_t t = 0; t < n_tokens_; ++t) std::copy_n(from + t * stride, n, to + t * n);
    return {to, static_cast<size_t>(n)};
  }

 private:
  float* next_;
  int64_t n_tokens_;
};

// Calls f(begin, n) for all tokens of a request, some together.
template <typename F>
void for_some_tokens(int64_t n_tokens, int64_t n_together, F f) {
  for (int64_t begin = 0; begin < n_tokens; begin += n_together) {
    f(begin, std::min(n_together, n_tokens - begin));
  }
}

}  // namespace pyserve
