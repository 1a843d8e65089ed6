// A graph of one thread for a small case, and numbers to fill it with.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <vector>

#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "ggml.h"

namespace pyserve {

struct FreeGgml {
  void operator()(ggml_context* context) const { ggml_free(context); }
  void operator()(ggml_backend_buffer* buffer) const { ggml_backend_buffer_free(buffer); }
};
using GgmlContext = std::unique_ptr<ggml_context, FreeGgml>;
using GgmlBuffer = std::unique_ptr<ggml_backend_buffer, FreeGgml>;

inline GgmlContext new_context(bool has_data) {
  return GgmlContext(ggml_init({size_t{8} << 20, nullptr, !has_data}));
}

inline std::vector<float> compute(ggml_context* context, ggml_tensor* result) {
  ggml_cgraph* graph = ggml_new_graph(context);
  ggml_build_forward_expand(graph, result);
  ggml_graph_compute_with_ctx(context, graph, 1);
  const auto* data = static_cast<const float*>(result->data);
  return {data, data + ggml_nelements(result)};
}

// The same numbers wherever this runs: a linear congruential generator (Knuth's MMIX).
class Numbers {
 public:
  explicit Numbers(uint64_t seed) : state_(seed) {}

  // In [-1, 1).
  float next() {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    return static_cast<float>(static_cast<int64_t>(state_) >> 40) / static_cast<float>(1 << 23);
  }
  std::vector<float> many(size_t n) {
    std::vector<float> out(n);
    for (float& x : out) x = next();
    return out;
  }

 private:
  uint64_t state_;
};

// Whether x is about `wanted`, among summands of `size`. NaN is not.
inline bool is_near(double x, double wanted, double size) {
  return std::abs(x - wanted) <= 1e-4 * size;
}

}  // namespace pyserve
