// The gate of Gemma's layers: our kernel against the vendored one, on one thread.

#include <string>

#include "bench.h"
#include "one_node.h"

namespace pyserve::bench {
namespace {

constexpr int kWidth = 2048;  // of Gemma 3 270M

OneNode geglu(int n_tokens) {
  OneNode node;
  ggml_tensor* halves[2];
  for (ggml_tensor*& half : halves) {
    half = ggml_new_tensor_2d(node.context(), GGML_TYPE_F32, kWidth, n_tokens);
    node.place(half);
    const std::vector<float> values = random_floats(ggml_nelements(half));
    ggml_backend_tensor_set(half, values.data(), 0, ggml_nbytes(half));
  }
  node.set_result(ggml_geglu_split(node.context(), halves[0], halves[1]));
  return node;
}

}  // namespace

void bench_geglu() {
  const Kernels kernels;
  print_heading("GEGLU of " + std::to_string(kWidth), "llama.cpp");
  for (const int n_tokens : {1, 8, 32, 256}) {
    OneNode node = geglu(n_tokens);
    compare_best(kernels, std::to_string(n_tokens) + " tokens", node);
  }
}

}  // namespace pyserve::bench
