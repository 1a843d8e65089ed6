// Graphs of one node over given numbers.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <random>
#include <vector>

#include "ggml-cpu.h"
#include "ggml.h"

namespace pyserve {

struct FreeContext {
  void operator()(ggml_context* context) const { ggml_free(context); }
};
using TestContext = std::unique_ptr<ggml_context, FreeContext>;

inline TestContext test_context() {
  return TestContext(ggml_init({size_t{64} << 20, nullptr, false}));
}

inline std::vector<float> normal_numbers(size_t n, unsigned seed, float scale = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> out(n);
  for (float& x : out) x = normal(random);
  return out;
}

inline ggml_tensor* filled(ggml_context* context, std::initializer_list<int64_t> shape,
                           const std::vector<float>& numbers) {
  ggml_tensor* out =
      ggml_new_tensor(context, GGML_TYPE_F32, static_cast<int>(shape.size()), shape.begin());
  std::copy(numbers.begin(), numbers.end(), static_cast<float*>(out->data));
  return out;
}

inline std::vector<float> computed(ggml_context* context, ggml_tensor* node, int n_threads) {
  ggml_cgraph* graph = ggml_new_graph(context);
  ggml_build_forward_expand(graph, node);
  ggml_graph_compute_with_ctx(context, graph, n_threads);
  const auto* data = static_cast<const float*>(node->data);
  return {data, data + ggml_nelements(node)};
}

}  // namespace pyserve
