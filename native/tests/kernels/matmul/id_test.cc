#include <doctest/doctest.h>

#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/kernel_rung.h"
#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "ggml.h"
#include "kernels/matmul/panels.h"
#include "kernels/matmul/weight_types.h"

namespace pyserve {
namespace {

constexpr int kK = 512;
constexpr int kRows = 40;  // two panels and a half
constexpr int kExperts = 7;
constexpr int kWanted = 3;

struct Free {
  void operator()(ggml_context* context) const { ggml_free(context); }
  void operator()(ggml_backend_buffer* buffer) const { ggml_backend_buffer_free(buffer); }
};
using Context = std::unique_ptr<ggml_context, Free>;

std::vector<float> numbers(size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> out(n);
  for (float& x : out) x = normal(random);
  return out;
}

std::vector<char> random_blocks(ggml_type type) {
  constexpr int kAllRows = kRows * kExperts;
  const std::vector<float> source = numbers(static_cast<size_t>(kK) * kAllRows, 1);
  const std::vector<float> importance(kK, 1.0F);
  std::vector<char> blocks(ggml_row_size(type, kK) * kAllRows);
  ggml_quantize_chunk(type, source.data(), blocks.data(), 0, kAllRows, kK, importance.data());
  return blocks;
}

// The matrices of some experts, in one tensor.
struct Experts {
  Experts(ggml_type type, int n_experts, const char* blocks, bool has_panels)
      : context(ggml_init({1U << 12, nullptr, true})),
        tensor(ggml_new_tensor_3d(context.get(), type, kK, kRows, n_experts)),
        buffer(ggml_backend_alloc_ctx_tensors_from_buft(context.get(),
                                                        ggml_backend_cpu_buffer_type())) {
    std::memcpy(tensor->data, blocks, ggml_nbytes(tensor));
    if (has_panels) panels = Panels({&tensor, 1});
  }

  Context context;
  ggml_tensor* tensor;
  std::unique_ptr<ggml_backend_buffer, Free> buffer;
  Panels panels;
};

std::vector<float> computed(ggml_context* context, ggml_tensor* out, int n_threads) {
  ggml_cgraph* graph = ggml_new_graph(context);
  ggml_build_forward_expand(graph, out);
  ggml_graph_compute_with_ctx(context, graph, n_threads);
  const auto* data = static_cast<const float*>(out->data);
  return {data, data + ggml_nelements(out)};
}

Context new_context() { return Context(ggml_init({16U << 20, nullptr, false})); }

// [token][slot]: experts in no order, of which the last is wanted by none.
std::vector<int32_t> experts_of(int n_tokens) {
  std::vector<int32_t> ids;
  for (int token = 0; token < n_tokens; ++token) {
    for (int slot = 0; slot < kWanted; ++slot) {
      ids.push_back((token * 5 + slot * 2 + token / 3) % (kExperts - 1));
    }
  }
  return ids;
}

std::vector<float> product_by_ids(const Experts& experts, const std::vector<float>& x,
                                  int columns_of_token, int n_tokens, int n_threads) {
  const Context context = new_context();
  ggml_tensor* columns =
      ggml_new_tensor_3d(context.get(), GGML_TYPE_F32, kK, columns_of_token, n_tokens);
  std::memcpy(columns->data, x.data(), ggml_nbytes(columns));
  ggml_tensor* ids = ggml_new_tensor_2d(context.get(), GGML_TYPE_I32, kWanted, n_tokens);
  const std::vector<int32_t> wanted = experts_of(n_tokens);
  std::memcpy(ids->data, wanted.data(), ggml_nbytes(ids));
  return computed(context.get(), ggml_mul_mat_id(context.get(), experts.tensor, columns, ids),
                  n_threads);
}

std::vector<float> product_with(const Experts& expert, const float* x) {
  const Context context = new_context();
  ggml_tensor* column = ggml_new_tensor_1d(context.get(), GGML_TYPE_F32, kK);
  std::memcpy(column->data, x, ggml_nbytes(column));
  return computed(context.get(), ggml_mul_mat(context.get(), expert.tensor, column), 1);
}

}  // namespace

TEST_CASE("products with some of many experts have the bits of products with each") {
  const Int8GemmKernels* kernels = int8_gemm_kernels(rung_in_force());
  if (kernels == nullptr) return;
  for (const WeightType& type : kernels->types) {
    for (const bool has_panels : {false, true}) {
      // Else the product is the vendored library's.
      const WeightLayout layout = has_panels ? WeightLayout::kPanel : WeightLayout::kFile;
      if (type.kernel(layout) == nullptr || type.kernel(layout)->n_min_columns > 1) continue;
      const std::vector<char> blocks = random_blocks(type.type);
      const Experts experts(type.type, kExperts, blocks.data(), has_panels);
      std::vector<std::unique_ptr<Experts>> each;
      for (int i = 0; i < kExperts; ++i) {
        const char* of_expert = blocks.data() + i * experts.tensor->nb[2];
        each.push_back(std::make_unique<Experts>(type.type, 1, of_expert, has_panels));
      }
      for (const int columns_of_token : {1, kWanted}) {
        for (const int n_tokens : {1, 2, 9, 40}) {
          const std::vector<float> x =
              numbers(static_cast<size_t>(kK) * columns_of_token * n_tokens, 2);
          const std::vector<int32_t> ids = experts_of(n_tokens);
          std::vector<float> expected;
          for (size_t pair = 0; pair < ids.size(); ++pair) {
            const size_t column = columns_of_token == 1 ? pair / kWanted : pair;
            const std::vector<float> out = product_with(*each[ids[pair]], x.data() + column * kK);
            expected.insert(expected.end(), out.begin(), out.end());
          }
          for (const int n_threads : {1, 3}) {
            CAPTURE(std::string(ggml_type_name(type.type)) + (has_panels ? ", panels" : ", file"));
            CAPTURE(columns_of_token);
            CAPTURE(n_tokens);
            CAPTURE(n_threads);
            CHECK(product_by_ids(experts, x, columns_of_token, n_tokens, n_threads) == expected);
          }
        }
      }
    }
  }
}

// The columns of a product may be there already, from the one before.
TEST_CASE("products with the same columns and experts have the bits of each alone") {
  if (rung_in_force() == Rung::kStock) return;
  constexpr int kTokens = 9;
  // The last one has another number of experts.
  const std::vector<ggml_type> types{GGML_TYPE_Q4_0, GGML_TYPE_Q4_0, GGML_TYPE_Q8_0,
                                     GGML_TYPE_BF16, GGML_TYPE_BF16, GGML_TYPE_Q4_0};
  std::vector<std::unique_ptr<Experts>> all;
  for (size_t i = 0; i < types.size(); ++i) {
    const std::vector<char> blocks = random_blocks(types[i]);
    const int n_experts = i + 1 < types.size() ? kExperts : kExperts - 1;
    all.push_back(std::make_unique<Experts>(types[i], n_experts, blocks.data(), true));
  }
  for (const int columns_of_token : {1, kWanted}) {
    const std::vector<float> x = numbers(size_t{kK} * columns_of_token * kTokens, 2);
    const std::vector<float> y = numbers(size_t{kK} * columns_of_token * kTokens, 3);
    for (const int n_threads : {1, 3}) {
      CAPTURE(columns_of_token);
      CAPTURE(n_threads);
      const Context context = new_context();
      const auto columns_of = [&](const std::vector<float>& from) {
        ggml_tensor* columns =
            ggml_new_tensor_3d(context.get(), GGML_TYPE_F32, kK, columns_of_token, kTokens);
        std::memcpy(columns->data, from.data(), ggml_nbytes(columns));
        return columns;
      };
      ggml_tensor* const columns[] = {columns_of(x), columns_of(y)};
      ggml_tensor* ids = ggml_new_tensor_2d(context.get(), GGML_TYPE_I32, kWanted, kTokens);
      std::memcpy(ids->data, experts_of(kTokens).data(), ggml_nbytes(ids));
      ggml_tensor* bias = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, kRows, kExperts);
      std::memcpy(bias->data, numbers(kRows * kExperts, 4).data(), ggml_nbytes(bias));
      ggml_cgraph* graph = ggml_new_graph(context.get());
      struct Product {
        ggml_tensor* tensor;
        size_t weights;
        bool is_of_y;
      };
      std::vector<Product> products;
      const auto multiply = [&](size_t i, bool is_of_y) {
        ggml_tensor* out = ggml_mul_mat_id(context.get(), all[i]->tensor, columns[is_of_y], ids);
        ggml_build_forward_expand(graph, out);
        products.push_back({out, i, is_of_y});
      };
      for (size_t i = 0; i < types.size(); ++i) {
        multiply(i, false);
        // With biases between them, as in gpt-oss.
        ggml_build_forward_expand(graph,
                                  ggml_add_id(context.get(), products.back().tensor, bias, ids));
      }
      for (size_t i = 0; i < types.size(); ++i) multiply(i, i % 3 == 0);
      // The softmax has the work buffer for itself meanwhile.
      multiply(0, false);
      ggml_build_forward_expand(graph, ggml_soft_max(context.get(), columns[1]));
      multiply(1, false);
      for (int round = 0; round < 2; ++round) {
        ggml_graph_compute_with_ctx(context.get(), graph, n_threads);
        CHECK(products[1].tensor->extra == products[0].tensor);
        CHECK(products[2].tensor->extra == nullptr);
        for (const Product& product : products) {
          CAPTURE(product.weights);
          const auto* data = static_cast<const float*>(product.tensor->data);
          CHECK(std::vector<float>(data, data + ggml_nelements(product.tensor)) ==
                product_by_ids(*all[product.weights], product.is_of_y ? y : x, columns_of_token,
                               kTokens, 1));
        }
      }
    }
  }
}

}  // namespace pyserve
