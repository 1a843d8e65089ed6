// Our matrix product, through the graph, against arithmetic in double precision.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "ggml-alloc.h"
#include "ggml-cpu.h"
#include "ggml.h"
#include "kernels/matmul/panels.h"
#include "kernels/matmul/weight_types.h"
#include "repack.h"

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
  Weights(ggml_type t, const Shape& shape, WeightLayout l = WeightLayout::kFile)
      : type(t), layout(l) {
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
  WeightLayout layout;
  std::vector<char> blocks;
  std::vector<float> values;
};

struct Free {
  void operator()(ggml_context* context) const { ggml_free(context); }
  void operator()(ggml_backend_buffer* buffer) const { ggml_backend_buffer_free(buffer); }
};

// How the columns are made from `x`.
using MakeColumns = ggml_tensor* (*)(ggml_context * context, ggml_tensor* x);

// The weights where a graph finds them.
struct Placed {
  Placed(const Weights& weights, const Shape& s)
      : context(ggml_init({1U << 20, nullptr, true})),
        tensor(ggml_new_tensor_2d(context.get(), weights.type, s.n_k, s.n_rows)),
        buffer(ggml_backend_buft_alloc_buffer(weights.layout == WeightLayout::kX8
                                                  ? ggml_backend_cpu_repack_buffer_type()
                                                  : ggml_backend_cpu_buffer_type(),
                                              weights.blocks.size())) {
    ggml_backend_tensor_alloc(buffer.get(), tensor, ggml_backend_buffer_get_base(buffer.get()));
    ggml_backend_tensor_set(tensor, weights.blocks.data(), 0, weights.blocks.size());
    if (weights.layout != WeightLayout::kPanel) return;
    panels = Panels({&tensor, 1});
    // Nothing of the file's layout is read any more.
    if (panels.n_bytes() > 0) std::memset(tensor->data, 0x55, weights.blocks.size());
  }

  std::unique_ptr<ggml_context, Free> context;
  ggml_tensor* tensor;
  std::unique_ptr<ggml_backend_buffer, Free> buffer;
  Panels panels;
};

std::vector<float> floats_of(const ggml_tensor* tensor) {
  const auto* data = static_cast<const float*>(tensor->data);
  return {data, data + ggml_nelements(tensor)};
}

ggml_tensor* new_columns(ggml_context* context, const std::vector<float>& x, int n_k) {
  ggml_tensor* out =
      ggml_new_tensor_2d(context, GGML_TYPE_F32, n_k, static_cast<int64_t>(x.size()) / n_k);
  std::memcpy(out->data, x.data(), x.size() * sizeof(float));
  return out;
}

std::vector<float> computed(const Weights& weights, const Shape& s, const std::vector<float>& x,
                            int n_threads, MakeColumns make = nullptr) {
  const std::unique_ptr<ggml_context, Free> context(ggml_init({256U << 20, nullptr, false}));
  const Placed placed(weights, s);
  ggml_tensor* tx = new_columns(context.get(), x, s.n_k);
  ggml_tensor* columns = make == nullptr ? tx : make(context.get(), tx);
  ggml_tensor* out = ggml_mul_mat(context.get(), placed.tensor, columns);
  ggml_cgraph* graph = ggml_new_graph(context.get());
  ggml_build_forward_expand(graph, out);
  ggml_graph_compute_with_ctx(context.get(), graph, n_threads);
  return floats_of(out);
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

// Of few columns of repacked weights it may be the vendored product.
bool is_ours(const Weights& weights, const Shape& shape) {
  return rung_in_force() != Rung::kStock &&
         (weights.layout != WeightLayout::kX8 || shape.n_columns > 2);
}

const std::vector<Shape> kShapes{{576, 192, 4}, {576, 100, 5}, {576, 40, 1},   {64, 50, 2},
                                 {512, 20, 3},  {32, 33, 13},  {160, 16, 257}, {96, 7, 31},
                                 {576, 1, 12},  {128, 65, 6},  {1536, 64, 16}, {256, 24, 7},
                                 {768, 8, 9},   {512, 47, 33}, {64, 24, 100}};

bool can_be(const Shape& shape, ggml_type type, WeightLayout layout) {
  return shape.n_k % ggml_blck_size(type) == 0 &&
         (layout != WeightLayout::kX8 || shape.n_rows % 8 == 0);
}

// Runs `check` for every shape that a type can have, in its layouts, on some threads.
template <typename Check>
void for_every_product(Check check) {
  for (const WeightType& each : weight_types()) {
    for (const WeightLayout layout : kWeightLayouts) {
      if (each.kernel(layout) == nullptr) continue;
      for (const Shape& shape : kShapes) {
        if (!can_be(shape, each.type, layout)) continue;
        const Weights weights(each.type, shape, layout);
        for (const int n_threads : {1, 2, 3}) {
          INFO(ggml_type_name(each.type), " ", name_of(layout), " ", shape.n_k, "x", shape.n_rows,
               " columns ", shape.n_columns, " threads ", n_threads);
          check(weights, shape, n_threads);
        }
      }
    }
  }
}

}  // namespace

TEST_CASE("the matrix product is right for every shape and type") {
  for_every_product([](const Weights& weights, const Shape& shape, int n_threads) {
    const std::vector<float> x = random_floats(static_cast<size_t>(shape.n_k) * shape.n_columns, 4);
    // Activations are rounded to 8 bits.
    CHECK(worst_error(weights, shape, x, computed(weights, shape, x, n_threads)) < 3e-2);
  });
}

TEST_CASE("the matrix product is exact for activations that are whole numbers") {
  for_every_product([](const Weights& weights, const Shape& shape, int n_threads) {
    if (!is_ours(weights, shape)) return;
    std::vector<float> x = random_floats(static_cast<size_t>(shape.n_k) * shape.n_columns, 6);
    for (size_t i = 0; i < x.size(); ++i) {
      x[i] = i % 32 == 5 ? 127.0F : std::round(std::clamp(40 * x[i], -127.0F, 127.0F));
    }
    CHECK(worst_error(weights, shape, x, computed(weights, shape, x, n_threads)) < 5e-6);
  });
}

TEST_CASE("a column gives the same product in any batch") {
  constexpr int kDepth = 768;  // three blocks of the longest types
  const Shape many{kDepth, 96, 29};
  if (rung_in_force() == Rung::kStock) return;  // of other kernels we promise nothing
  for (const WeightType& each : weight_types()) {
    for (const WeightLayout layout : {WeightLayout::kFile, WeightLayout::kPanel}) {
      if (each.kernel(layout) == nullptr) continue;
      INFO(ggml_type_name(each.type), " ", name_of(layout));
      const Weights weights(each.type, many, layout);
      const std::vector<float> x = random_floats(static_cast<size_t>(kDepth) * many.n_columns, 5);
      const std::vector<float> all = computed(weights, many, x, 2);
      for (const int n_columns : {9, 6, 3, 2, 1}) {
        const Shape few{kDepth, 96, n_columns};
        const std::vector<float> of_few(x.begin() + kDepth * 7,
                                        x.begin() + kDepth * (7 + n_columns));
        CHECK(computed(weights, few, of_few, 2) ==
              std::vector<float>(all.begin() + 96 * 7, all.begin() + 96 * (7 + n_columns)));
      }
    }
  }
}

TEST_CASE("columns that no cache holds, which are multiplied in parts, give the same product") {
  if (rung_in_force() == Rung::kStock) return;
  constexpr int kRows = 40;  // the last panel is not full
  constexpr int kColumns = 200;
  for (const WeightType& each : weight_types()) {
    const int depth = 4096 + static_cast<int>(ggml_blck_size(each.type));
    for (const WeightLayout layout : kWeightLayouts) {
      // Repacked Q4_K is multiplied by the vendored library, where our product is not faster.
      if (layout == WeightLayout::kX8 && each.type != GGML_TYPE_Q4_0) continue;
      if (each.kernel(layout) == nullptr || depth % kInt8Block != 0) continue;
      const int n_few = layout == WeightLayout::kX8 ? 3 : 1;  // or it may be the vendored product
      INFO(ggml_type_name(each.type), " ", name_of(layout));
      const Weights weights(each.type, {depth, kRows, kColumns}, layout);
      const std::vector<float> x = random_floats(static_cast<size_t>(depth) * kColumns, 5);
      const std::vector<float> all = computed(weights, {depth, kRows, kColumns}, x, 2);
      for (const int c : {0, 101, kColumns - n_few}) {
        const std::vector<float> few(x.begin() + depth * c, x.begin() + depth * (c + n_few));
        CHECK(computed(weights, {depth, kRows, n_few}, few, 2) ==
              std::vector<float>(all.begin() + kRows * c, all.begin() + kRows * (c + n_few)));
      }
    }
  }
}

TEST_CASE("the exponents of MXFP4 are exact from the smallest to the largest") {
  constexpr int kExponents = 240;  // of larger ones a product may be no float
  constexpr size_t kBlockBytes = 17;
  for (const WeightLayout layout : {WeightLayout::kFile, WeightLayout::kPanel}) {
    const Shape shape{32, kExponents, 1};
    Weights weights(GGML_TYPE_MXFP4, shape, layout);
    for (int e = 0; e < kExponents; ++e) weights.blocks[e * kBlockBytes] = static_cast<char>(e);
    ggml_get_type_traits(weights.type)
        ->to_float(weights.blocks.data(), weights.values.data(),
                   static_cast<int64_t>(weights.values.size()));
    std::vector<float> x(shape.n_k);
    for (int k = 0; k < shape.n_k; ++k) x[k] = static_cast<float>(127 - 5 * k);
    const std::vector<float> out = computed(weights, shape, x, 1);
    for (int e = 0; e < kExponents; ++e) {
      double sum = 0;
      for (int k = 0; k < shape.n_k; ++k) sum += double{weights.values[e * 32 + k]} * x[k];
      INFO(name_of(layout), " 2^", e - 127);
      CHECK(out[e] == doctest::Approx(sum).epsilon(1e-6).scale(std::ldexp(1.0, e - 127)));
    }
  }
}

TEST_CASE("the matrix product of what a norm has made is the same bits") {
  const auto normed = [](ggml_context* context, ggml_tensor* x) {
    return ggml_rms_norm(context, x, 1e-5F);
  };
  const auto scaled = [](ggml_context* context, ggml_tensor* x) {
    ggml_tensor* by = ggml_new_tensor_1d(context, GGML_TYPE_F32, x->ne[0]);
    std::fill_n(static_cast<float*>(by->data), x->ne[0], 1.0F);
    return ggml_mul(context, ggml_rms_norm(context, x, 1e-5F), by);
  };
  for (const int n_columns : {1, 2, 3, 16, 70}) {
    const Shape shape{576, 48, n_columns};
    const Weights weights(GGML_TYPE_Q4_1, shape, WeightLayout::kPanel);
    const std::vector<float> x = random_floats(static_cast<size_t>(shape.n_k) * n_columns, 5);
    const std::vector<float> expected = computed(weights, shape, x, 1, normed);
    // The norm of random numbers is nearly 1.
    CHECK(worst_error(weights, shape, x, expected) < 0.2);
    for (const int n_threads : {1, 2, 5}) {
      CHECK(computed(weights, shape, x, n_threads, normed) == expected);
      CHECK(computed(weights, shape, x, n_threads, scaled) == expected);
    }
  }
}

namespace {

// Matrices that are multiplied with the columns x and y, in any order.
class ManyProducts {
 public:
  static constexpr int kDepth = 512;

  ManyProducts(const std::vector<Weights>& all, const std::vector<int>& rows, int n_columns)
      : n_values_(static_cast<size_t>(kDepth) * n_columns) {
    const std::vector<float> x = random_floats(n_values_, 5);
    const std::vector<float> y = random_floats(n_values_, 6);
    for (size_t i = 0; i < all.size(); ++i) {
      const Shape shape{kDepth, rows[i], n_columns};
      of_x_.push_back(computed(all[i], shape, x, 1));
      of_y_.push_back(computed(all[i], shape, y, 1));
      placed_.push_back(std::make_unique<Placed>(all[i], shape));
    }
    x_ = new_columns(context(), x, kDepth);
    y_ = new_columns(context(), y, kDepth);
  }

  ggml_context* context() const { return context_.get(); }
  ggml_tensor* x() const { return x_; }
  ggml_tensor* y() const { return y_; }

  // What is computed next.
  void begin() {
    graph_ = ggml_new_graph(context());
    products_.clear();
  }
  void add(ggml_tensor* op) { ggml_build_forward_expand(graph_, op); }
  ggml_tensor* multiply(size_t weights, ggml_tensor* columns) {
    ggml_tensor* out = ggml_mul_mat(context(), placed_[weights]->tensor, columns);
    products_.push_back({out, weights, columns == x_});
    add(out);
    return out;
  }

  // Computes it, and compares with what each product is alone. Then x and y change places.
  void check(int n_threads) {
    ggml_graph_compute_with_ctx(context(), graph_, n_threads);
    for (size_t i = 0; i < products_.size(); ++i) {
      const Product& product = products_[i];
      INFO("product ", i);
      CHECK(floats_of(product.tensor) == (product.is_of_x ? of_x_ : of_y_)[product.weights]);
    }
    std::swap(of_x_, of_y_);
    float* const x = ggml_get_data_f32(x_);
    std::swap_ranges(x, x + n_values_, ggml_get_data_f32(y_));
  }

 private:
  struct Product {
    ggml_tensor* tensor;
    size_t weights;
    bool is_of_x;
  };

  size_t n_values_;
  std::unique_ptr<ggml_context, Free> context_{ggml_init({256U << 20, nullptr, false})};
  std::vector<std::unique_ptr<Placed>> placed_;
  std::vector<std::vector<float>> of_x_;
  std::vector<std::vector<float>> of_y_;
  ggml_tensor* x_ = nullptr;
  ggml_tensor* y_ = nullptr;
  ggml_cgraph* graph_ = nullptr;
  std::vector<Product> products_;
};

}  // namespace

// The columns of a product may be there already, from the one before.
TEST_CASE("a product after others is the same bits as alone") {
  const std::vector<ggml_type> types{GGML_TYPE_Q8_0, GGML_TYPE_Q4_K, GGML_TYPE_Q4_1, GGML_TYPE_Q4_1,
                                     GGML_TYPE_Q4_1, GGML_TYPE_Q4_1, GGML_TYPE_Q4_1};
  const std::vector<int> rows{48, 33, 48, 40, 9000, 9000, 16};
  std::vector<Weights> weights;
  for (size_t i = 0; i < types.size(); ++i) {
    weights.emplace_back(types[i], Shape{ManyProducts::kDepth, rows[i], 0}, WeightLayout::kPanel);
  }
  for (const int n_columns : {1, 3, 40}) {
    ManyProducts all(weights, rows, n_columns);
    for (const int n_threads : {1, 2, 5}) {
      INFO(n_columns, " columns, ", n_threads, " threads");
      all.begin();
      for (size_t i = 0; i < types.size(); ++i) {
        ggml_tensor* out = all.multiply(i, all.x());
        all.add(ggml_reshape_1d(all.context(), out, ggml_nelements(out)));
      }
      for (size_t i = 0; i < types.size(); ++i) all.multiply(i, i == 3 ? all.x() : all.y());
      // The softmax has the work buffer for itself meanwhile.
      all.multiply(2, all.x());
      all.add(ggml_soft_max(all.context(), all.y()));
      all.multiply(3, all.x());
      all.check(n_threads);
      all.check(n_threads);
      // Each in a graph of its own.
      for (const size_t i : {2, 3}) {
        all.begin();
        all.multiply(i, all.x());
        all.check(n_threads);
      }
    }
  }
}

TEST_CASE("the matrix product is the same bits from panels as from the file") {
  for_every_product([](const Weights& weights, const Shape& shape, int n_threads) {
    if (weights.layout != WeightLayout::kPanel || !is_ours(weights, shape)) return;
    Weights in_file = weights;
    in_file.layout = WeightLayout::kFile;
    const std::vector<float> x = random_floats(static_cast<size_t>(shape.n_k) * shape.n_columns, 7);
    CHECK(computed(weights, shape, x, n_threads) == computed(in_file, shape, x, n_threads));
  });
}

TEST_CASE("panels are made of matrices of known types in an even number of blocks") {
  const std::unique_ptr<ggml_context, Free> no_data(ggml_init({1U << 20, nullptr, true}));
  std::vector<ggml_tensor*> tensors;
  for (const ggml_type type : {GGML_TYPE_Q8_0, GGML_TYPE_F32}) {
    for (const int n_k : {64, 96}) {
      for (const int n_experts : {1, 2}) {
        tensors.push_back(ggml_new_tensor_3d(no_data.get(), type, n_k, 20, n_experts));
      }
    }
  }
  const std::unique_ptr<ggml_backend_buffer, Free> buffer(
      ggml_backend_alloc_ctx_tensors_from_buft(no_data.get(), ggml_backend_cpu_buffer_type()));
  std::vector<char> zeros(1U << 16);
  for (ggml_tensor* each : tensors)
    ggml_backend_tensor_set(each, zeros.data(), 0, ggml_nbytes(each));
  {
    const Panels panels(tensors);
    for (size_t i = 0; i < tensors.size(); ++i) {
      INFO(i);
      CHECK((panels_of(tensors[i]) != nullptr) == (i < 2 && rung_in_force() != Rung::kStock));
    }
  }
  CHECK(panels_of(tensors[0]) == nullptr);
}

TEST_CASE("types that we know are best in panels") {
  CHECK(is_best_in_panels(GGML_TYPE_Q8_0) == (rung_in_force() != Rung::kStock));
  CHECK(!is_best_in_panels(GGML_TYPE_IQ2_S));
  CHECK(!is_best_in_panels(GGML_TYPE_F16));
}

TEST_CASE("every rung with kernels knows the same types in the same layouts") {
  for (const Rung rung : kLadder) {
    const Int8GemmKernels* kernels = int8_gemm_kernels(rung);
    if (kernels == nullptr) continue;
    INFO(name_of(rung));
    CHECK(kernels->types.size() == weight_types().size());
    for (const WeightType& each : weight_types()) {
      INFO(ggml_type_name(each.type));
      const WeightType* found = kernels->find(each.type);
      REQUIRE(found != nullptr);
      CHECK(found->panel_bytes(512) == each.panel_bytes(512));
      for (const WeightLayout layout : kWeightLayouts) {
        CHECK((found->kernel(layout) == nullptr) == (each.kernel(layout) == nullptr));
      }
    }
    CHECK(kernels->find(GGML_TYPE_F32) == nullptr);
  }
}
