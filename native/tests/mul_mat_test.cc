// Our matrix product, through the graph, against arithmetic in double precision.

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "ggml-cpu.h"
#include "ggml.h"
#include "kernels/install.h"
#include "kernels/int8_gemm.h"
#include "kernels/mul_mat_op.h"

using namespace pyserve;

namespace {

struct Shape {
  int n_k;
  int n_rows;
  int n_columns;
};

std::vector<float> random_floats(size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 1);
  std::vector<float> out(n);
  for (float& x : out) x = normal(random);
  return out;
}

// The weights as the quantized blocks say them.
struct Weights {
  Weights(ggml_type t, const Shape& shape) : type(t) {
    const std::vector<float> source =
        random_floats(static_cast<size_t>(shape.n_k) * shape.n_rows, 3);
    const size_t row_bytes = ggml_row_size(type, shape.n_k);
    blocks.resize(row_bytes * shape.n_rows);
    ggml_quantize_chunk(type, source.data(), blocks.data(), 0, shape.n_rows, shape.n_k, nullptr);
    values.resize(source.size());
    ggml_get_type_traits(type)->to_float(blocks.data(), values.data(),
                                         static_cast<int64_t>(values.size()));
  }

  ggml_type type;
  std::vector<char> blocks;
  std::vector<float> values;
};

std::vector<float> computed(const Weights& weights, const Shape& s, const std::vector<float>& x,
                            int n_threads) {
  const ggml_init_params params{256U << 20, nullptr, false};
  const std::unique_ptr<ggml_context, decltype(&ggml_free)> context(ggml_init(params), ggml_free);
  ggml_tensor* w = ggml_new_tensor_2d(context.get(), weights.type, s.n_k, s.n_rows);
  ggml_tensor* tx = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, s.n_k, s.n_columns);
  std::memcpy(w->data, weights.blocks.data(), weights.blocks.size());
  std::memcpy(tx->data, x.data(), x.size() * sizeof(float));
  ggml_tensor* out = ggml_mul_mat(context.get(), w, tx);
  ggml_cgraph* graph = ggml_new_graph(context.get());
  ggml_build_forward_expand(graph, out);
  ggml_graph_compute_with_ctx(context.get(), graph, n_threads);
  const auto* data = static_cast<const float*>(out->data);
  return {data, data + ggml_nelements(out)};
}

// The largest error, relative to the size of the summands.
double worst_error(const Weights& weights, const Shape& s, const std::vector<float>& x,
                   const std::vector<float>& out) {
  double worst = 0;
  for (int c = 0; c < s.n_columns; ++c) {
    for (int r = 0; r < s.n_rows; ++r) {
      double sum = 0;
      double size = 0;
      for (int k = 0; k < s.n_k; ++k) {
        const double term =
            static_cast<double>(weights.values[static_cast<size_t>(r) * s.n_k + k]) *
            x[static_cast<size_t>(c) * s.n_k + k];
        sum += term;
        size += term * term;
      }
      const double error = std::abs(out[static_cast<size_t>(c) * s.n_rows + r] - sum);
      worst = std::max(worst, error / std::sqrt(size));
    }
  }
  return worst;
}

}  // namespace

// Integer products round activations to 8 bits, as the vendored ones do; the others are exact
// to 32.
double allowed_error(int n_columns) {
  const char* kernels = std::getenv("PYSERVE_KERNELS");
  const bool is_float = kernels != nullptr && std::string(kernels) == "float";
  const bool is_exact = is_float || int8_gemm_kernels() == nullptr;
  return is_exact && n_columns >= FloatMulMatOp::kMinColumns ? 5e-6 : 3e-2;
}

TEST_CASE("the matrix product is right for every shape and type") {
  install_kernels();
  const std::vector<Shape> shapes{{576, 192, 4}, {576, 100, 5},  {576, 40, 1}, {64, 50, 2},
                                  {512, 20, 3},  {1536, 64, 16}, {32, 33, 13}, {160, 16, 257},
                                  {96, 7, 31},   {576, 1, 12},   {128, 65, 6}};
  for (const ggml_type type : {GGML_TYPE_Q4_1, GGML_TYPE_Q5_1}) {
    for (const Shape& shape : shapes) {
      const Weights weights(type, shape);
      const std::vector<float> x =
          random_floats(static_cast<size_t>(shape.n_k) * shape.n_columns, 4);
      for (const int n_threads : {1, 2, 3}) {
        INFO(ggml_type_name(type), " ", shape.n_k, "x", shape.n_rows, " columns ", shape.n_columns,
             " threads ", n_threads);
        CHECK(worst_error(weights, shape, x, computed(weights, shape, x, n_threads)) <
              allowed_error(shape.n_columns));
      }
    }
  }
}

TEST_CASE("a column gives the same product in every company") {
  install_kernels();
  const Shape many{576, 96, 29};
  const Weights weights(GGML_TYPE_Q4_1, many);
  const std::vector<float> x = random_floats(static_cast<size_t>(many.n_k) * many.n_columns, 5);
  const std::vector<float> all = computed(weights, many, x, 2);
  const Shape few{576, 96, 9};
  const std::vector<float> some =
      computed(weights, few, {x.begin() + 576 * 7, x.begin() + 576 * 16}, 2);
  CHECK(std::vector<float>(all.begin() + 96 * 7, all.begin() + 96 * 16) == some);
}
