// Matrices of quantized weights times few and many columns: our kernels against the vendored ones,
// on one thread. Weights are random, more of them than caches hold when there are few columns, and
// lie as a loaded model may have them: in our panels, as in the file, and repacked where the
// vendored library has kernels for that.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "bench.h"
#include "ggml-cpu.h"
#include "kernels/matmul/panels.h"
#include "kernels/matmul/weight_types.h"
#include "one_node.h"
#include "repack.h"

namespace pyserve::bench {
namespace {

constexpr int kDepth = 768;

struct Weights {
  ggml_type type;
  WeightLayout layout;
};

// A few rows, again and again: the time does not depend on what they say.
void fill(ggml_tensor* w) {
  constexpr int kRows = 64;
  const std::vector<float> values = random_floats(static_cast<size_t>(kRows) * kDepth);
  std::vector<char> rows(ggml_row_size(w->type, kDepth) * kRows);
  ggml_quantize_chunk(w->type, values.data(), rows.data(), 0, kRows, kDepth, nullptr);
  std::vector<char> all(ggml_nbytes(w));
  for (size_t at = 0; at < all.size(); at += rows.size()) {
    std::copy_n(rows.begin(), std::min(rows.size(), all.size() - at), all.begin() + at);
  }
  ggml_backend_tensor_set(w, all.data(), 0, all.size());
}

// n_rows x kDepth weights times n_columns columns.
struct Product {
  OneNode node;
  Panels panels;
};

Product product(const Weights& weights, int n_rows, int n_columns) {
  OneNode node;
  ggml_tensor* w = ggml_new_tensor_2d(node.context(), weights.type, kDepth, n_rows);
  ggml_tensor* x = ggml_new_tensor_2d(node.context(), GGML_TYPE_F32, kDepth, n_columns);
  const bool is_repacked = weights.layout == WeightLayout::kX8;
  node.place(w,
             is_repacked ? ggml_backend_cpu_repack_buffer_type() : ggml_backend_cpu_buffer_type());
  node.place(x);
  fill(w);
  const std::vector<float> values = random_floats(static_cast<size_t>(kDepth) * n_columns);
  ggml_backend_tensor_set(x, values.data(), 0, ggml_nbytes(x));
  node.set_result(ggml_mul_mat(node.context(), w, x));
  Panels panels;
  if (weights.layout == WeightLayout::kPanel) panels = Panels({&w, 1});
  return {std::move(node), std::move(panels)};
}

// Few columns wait for memory: their weights are beyond any cache, 113 MB at 4.5 bits.
int rows_for(int n_columns) {
  if (n_columns <= 4) return 262144;
  return n_columns <= 32 ? 32768 : 2048;
}

std::vector<Weights> all_weights() {
  std::vector<Weights> all;
  for (const WeightType& each : weight_types()) {
    for (const WeightLayout layout : kWeightLayouts) {
      if (each.kernel(layout) != nullptr) all.push_back({each.type, layout});
    }
  }
  return all;
}

std::string name_of_weights(const Weights& weights) {
  const std::string type = ggml_type_name(weights.type);
  if (weights.layout == WeightLayout::kFile) return type;
  return type + " (" + name_of(weights.layout) + ")";
}

}  // namespace

void bench_mul_mat() {
  const Kernels kernels;
  for (const Weights& w : all_weights()) {
    print_heading("matrix " + name_of_weights(w), "llama.cpp");
    for (const int n_columns : {1, 2, 4, 8, 16, 32, 128, 512}) {
      const int n_rows = rows_for(n_columns);
      Product computed = product(w, n_rows, n_columns);
      compare_best(kernels,
                   std::to_string(n_rows) + " rows x " + std::to_string(n_columns) + " columns",
                   computed.node);
    }
  }
}

}  // namespace pyserve::bench
