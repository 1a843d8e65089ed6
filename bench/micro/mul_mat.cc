// Matrices of quantized weights times few and many columns: our kernels against the vendored ones,
// on one thread. Weights are random, more of them than caches hold when there are few columns, and
// lie as a loaded model has them: repacked where the vendored library has kernels for that.

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bench.h"
#include "ggml-cpu.h"
#include "ggml.h"
#include "kernels/install.h"
#include "repack.h"
#include "traits.h"

namespace pyserve::bench {
namespace {

constexpr int kDepth = 768;

struct Free {
  void operator()(ggml_context* context) const { ggml_free(context); }
  void operator()(ggml_backend_buffer* buffer) const { ggml_backend_buffer_free(buffer); }
};

// Ours are the first in the list that the vendored library asks, once they are installed.
class Kernels {
 public:
  Kernels() {
    auto& types = ggml_backend_cpu_get_extra_buffer_types();
    const auto before = types;
    install_kernels();
    if (types.size() > before.size()) ours_ = types.front();
  }
  void use_ours(bool is_ours) const {
    auto& types = ggml_backend_cpu_get_extra_buffer_types();
    types.erase(std::remove(types.begin(), types.end(), ours_), types.end());
    if (is_ours && ours_ != nullptr) types.insert(types.begin(), ours_);
  }

 private:
  ggml_backend_buffer_type_t ours_ = nullptr;
};

// One product of n_rows x kDepth weights with n_columns columns.
class Product {
 public:
  Product(ggml_type type, bool is_repacked, int n_rows, int n_columns)
      : context_(ggml_init({16U << 20, nullptr, true})) {
    w_ = ggml_new_tensor_2d(context_.get(), type, kDepth, n_rows);
    weights_ = place(
        w_, is_repacked ? ggml_backend_cpu_repack_buffer_type() : ggml_backend_cpu_buffer_type());
    ggml_tensor* x = ggml_new_tensor_2d(context_.get(), GGML_TYPE_F32, kDepth, n_columns);
    ggml_tensor* out = ggml_mul_mat(context_.get(), w_, x);
    x_ = place(x, ggml_backend_cpu_buffer_type());
    out_ = place(out, ggml_backend_cpu_buffer_type());
    const std::vector<float> values = random_floats(static_cast<size_t>(kDepth) * n_columns);
    ggml_backend_tensor_set(x, values.data(), 0, ggml_nbytes(x));
    fill_weights();
    graph_ = ggml_new_graph(context_.get());
    ggml_build_forward_expand(graph_, out);
  }

  long compute() {
    ggml_cplan plan = ggml_graph_plan(graph_, 1, nullptr);
    work_.resize(std::max(work_.size(), plan.work_size));
    plan.work_data = work_.data();
    return ggml_graph_compute(graph_, &plan);
  }

 private:
  using Buffer = std::unique_ptr<ggml_backend_buffer, Free>;

  static Buffer place(ggml_tensor* tensor, ggml_backend_buffer_type_t type) {
    Buffer buffer(ggml_backend_buft_alloc_buffer(type, ggml_nbytes(tensor) + 64));
    ggml_backend_tensor_alloc(buffer.get(), tensor, ggml_backend_buffer_get_base(buffer.get()));
    return buffer;
  }

  static std::vector<float> random_floats(size_t n) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal(0, 1);
    std::vector<float> values(n);
    for (float& x : values) x = normal(random);
    return values;
  }

  // A few rows, again and again: the time does not depend on what they say.
  void fill_weights() {
    constexpr int kRows = 64;
    const std::vector<float> values = random_floats(static_cast<size_t>(kRows) * kDepth);
    std::vector<char> rows(ggml_row_size(w_->type, kDepth) * kRows);
    ggml_quantize_chunk(w_->type, values.data(), rows.data(), 0, kRows, kDepth, nullptr);
    std::vector<char> all(ggml_nbytes(w_));
    for (size_t at = 0; at < all.size(); at += rows.size()) {
      std::copy_n(rows.begin(), std::min(rows.size(), all.size() - at), all.begin() + at);
    }
    ggml_backend_tensor_set(w_, all.data(), 0, all.size());
  }

  std::unique_ptr<ggml_context, Free> context_;
  ggml_tensor* w_ = nullptr;
  Buffer weights_;
  Buffer x_;
  Buffer out_;
  ggml_cgraph* graph_ = nullptr;
  std::vector<uint8_t> work_;
};

struct Weights {
  ggml_type type;
  bool is_repacked;
};

}  // namespace

void bench_mul_mat() {
  const Kernels kernels;
  for (const Weights& w : {Weights{GGML_TYPE_Q4_0, true},
                           {GGML_TYPE_Q4_0, false},
                           {GGML_TYPE_Q4_1, false},
                           {GGML_TYPE_Q5_0, false},
                           {GGML_TYPE_Q5_1, false},
                           {GGML_TYPE_Q8_0, false},
                           {GGML_TYPE_Q4_K, true},
                           {GGML_TYPE_Q4_K, false},
                           {GGML_TYPE_Q5_K, false},
                           {GGML_TYPE_Q6_K, false}}) {
    const std::string name = std::string(ggml_type_name(w.type)) + (w.is_repacked ? " (x8)" : "");
    print_heading("matrix " + name, "llama.cpp");
    for (const int n_columns : {1, 2, 4, 8, 16, 32, 128, 512}) {
      const int n_rows = n_columns <= 32 ? 32768 : 2048;
      Product product(w.type, w.is_repacked, n_rows, n_columns);
      const auto run = [&](bool is_ours) {
        kernels.use_ours(is_ours);
        return product.compute();
      };
      compare_best(
          std::to_string(n_rows) + " rows x " + std::to_string(n_columns) + " columns",
          [&] { return run(true); }, [&] { return run(false); });
    }
  }
  kernels.use_ours(true);
}

}  // namespace pyserve::bench
