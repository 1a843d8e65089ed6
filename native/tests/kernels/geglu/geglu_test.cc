// GEGLU, through the graph, against arithmetic in double precision.

#include "kernels/geglu/geglu.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numbers>
#include <random>
#include <vector>

#include "ggml-cpu.h"
#include "ggml.h"
#include "rungs.h"

using namespace pyserve;

namespace {

double gelu(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
}

// How the halves come: two tensors, or one whose rows hold both, in one order or the other.
enum class Halves { kApart, kTogether, kSwapped };

struct Case {
  Case(int n, int n_rows, unsigned seed) : n(n), n_rows(n_rows) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, 3);
    x.resize(static_cast<size_t>(n) * n_rows);
    gate.resize(x.size());
    for (float& value : x) value = normal(random);
    for (float& value : gate) value = normal(random);
  }

  std::vector<float> computed(Halves halves, int n_threads) const {
    const std::unique_ptr<ggml_context, decltype(&ggml_free)> context(
        ggml_init({16U << 20, nullptr, false}), ggml_free);
    ggml_context* ctx = context.get();
    ggml_tensor* out = halves == Halves::kApart ? apart(ctx) : together(ctx, halves);
    ggml_cgraph* graph = ggml_new_graph(ctx);
    ggml_build_forward_expand(graph, out);
    ggml_graph_compute_with_ctx(ctx, graph, n_threads);
    const auto* data = static_cast<const float*>(out->data);
    return {data, data + ggml_nelements(out)};
  }

  int n;
  int n_rows;
  std::vector<float> x, gate;

 private:
  ggml_tensor* apart(ggml_context* ctx) const {
    ggml_tensor* a = ggml_new_tensor_2d(ctx, GGML_TYPE_F32, n, n_rows);
    ggml_tensor* b = ggml_new_tensor_2d(ctx, GGML_TYPE_F32, n, n_rows);
    std::copy(x.begin(), x.end(), static_cast<float*>(a->data));
    std::copy(gate.begin(), gate.end(), static_cast<float*>(b->data));
    return ggml_geglu_split(ctx, a, b);
  }
  ggml_tensor* together(ggml_context* ctx, Halves halves) const {
    ggml_tensor* both = ggml_new_tensor_2d(ctx, GGML_TYPE_F32, 2 * n, n_rows);
    const auto& first = halves == Halves::kSwapped ? gate : x;
    const auto& last = halves == Halves::kSwapped ? x : gate;
    auto* to = static_cast<float*>(both->data);
    for (ptrdiff_t row = 0; row < n_rows; ++row, to += 2 * n) {
      std::copy_n(first.begin() + row * n, n, to);
      std::copy_n(last.begin() + row * n, n, to + n);
    }
    return halves == Halves::kSwapped ? ggml_geglu_swapped(ctx, both) : ggml_geglu(ctx, both);
  }
};

}  // namespace

TEST_CASE("GEGLU through the graph is exact to 32 bits, on any number of threads") {
  if (!has_ours()) return;
  for (const auto& [n, n_rows] : {std::pair{2048, 3}, {2048, 1}, {37, 5}, {1, 1}}) {
    const Case c(n, n_rows, 3);
    for (const Halves halves : {Halves::kApart, Halves::kTogether, Halves::kSwapped}) {
      for (const int n_threads : {1, 2, 5}) {
        INFO("n ", n, " rows ", n_rows, " halves ", static_cast<int>(halves));
        const std::vector<float> ours = c.computed(halves, n_threads);
        REQUIRE(ours.size() == c.x.size());
        double worst = 0;
        for (size_t i = 0; i < ours.size(); ++i) {
          worst = std::max(worst, std::abs(ours[i] - gelu(c.x[i]) * c.gate[i]) /
                                      (1e-3 + std::abs(gelu(c.x[i]) * c.gate[i])));
        }
        // The vendored table of 16-bit floats is off by 1e-3.
        CHECK(worst < 3e-6);
      }
    }
  }
}

TEST_CASE("GEGLU of numbers at the ends") {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  for (const GegluFn geglu : kernels_here(geglu_kernel)) {
    const std::vector<float> x{0.0F, -0.0F, kInf, -kInf, 3e38F, -3e38F, 50.0F, -50.0F, NAN, 1e-30F};
    const std::vector<float> gate(x.size(), 1.0F);
    std::vector<float> y(x.size());
    geglu(x.data(), gate.data(), static_cast<int>(x.size()), y.data());
    CHECK(y[0] == 0.0F);
    CHECK(y[1] == 0.0F);
    CHECK(y[2] == kInf);
    CHECK(y[3] == 0.0F);
    CHECK(y[4] == 3e38F);
    CHECK(y[5] == 0.0F);
    CHECK(y[6] == 50.0F);
    CHECK(y[7] == 0.0F);
    CHECK(std::isnan(y[8]));
    CHECK(y[9] == doctest::Approx(0.5e-30F));
  }
}
