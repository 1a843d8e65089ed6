// Products of matrices: every type of weights that has a kernel of ours, in every layout.

#include <cstring>
#include <string>
#include <string_view>

#include "kernels/matmul/panels.h"
#include "kernels/matmul/weight_types.h"
#include "ladder/proof.h"
#include "ladder/small_graph.h"
#include "repack.h"
#include "traits.h"

namespace pyserve {
namespace {

constexpr int kK = 512;  // two blocks of the types with the longest
constexpr int kMaxColumns = 35;

// A product's columns, of whole numbers with one of 127 in each block of 32: rounding to 8 bits
// changes nothing.
std::vector<float> whole_columns() {
  std::vector<float> x = Numbers(2).many(static_cast<size_t>(kK) * kMaxColumns);
  for (size_t i = 0; i < x.size(); ++i) x[i] = i % 32 == 5 ? 127.0F : std::round(100 * x[i]);
  return x;
}

// Weights as the blocks of a file say them, and what columns become with them.
struct Product {
  Product(ggml_type of_type, int of_rows)
      : type(of_type), n_rows(of_rows), blocks(ggml_row_size(type, kK) * n_rows) {
    const std::vector<float> source = Numbers(1).many(static_cast<size_t>(kK) * n_rows);
    ggml_quantize_chunk(type, source.data(), blocks.data(), 0, n_rows, kK, nullptr);
    std::vector<float> values(source.size());
    ggml_get_type_traits(type)->to_float(blocks.data(), values.data(),
                                         static_cast<int64_t>(values.size()));
    for (int c = 0; c < kMaxColumns; ++c) {
      for (int r = 0; r < n_rows; ++r) {
        double sum = 0;
        double squares = 0;
        for (int k = 0; k < kK; ++k) {
          const double term = static_cast<double>(values[r * kK + k]) * columns[c * kK + k];
          sum += term;
          squares += term * term;
        }
        expected.push_back(sum);
        sizes.push_back(std::sqrt(squares));
      }
    }
  }

  // The first columns, with the weights in buffers of this kind.
  bool is_right(int n_columns, ggml_tensor* weights) const {
    const GgmlContext context = new_context(true);
    ggml_tensor* x = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, kK, n_columns);
    std::memcpy(x->data, columns.data(), ggml_nbytes(x));
    const std::vector<float> out = compute(context.get(), ggml_mul_mat(context.get(), weights, x));
    for (size_t i = 0; i < out.size(); ++i) {
      if (!is_near(out[i], expected[i], sizes[i])) return false;
    }
    return true;
  }

  ggml_type type;
  int n_rows;
  std::vector<char> blocks;
  std::vector<float> columns = whole_columns();
  std::vector<double> expected;  // [column][row]
  std::vector<double> sizes;
};

// "": right for few and many columns.
std::string check(const Product& product, ggml_backend_buffer_type_t where, bool has_panels) {
  const GgmlContext context = new_context(false);
  ggml_tensor* weights = ggml_new_tensor_2d(context.get(), product.type, kK, product.n_rows);
  const GgmlBuffer buffer(ggml_backend_alloc_ctx_tensors_from_buft(context.get(), where));
  if (buffer == nullptr) return "there is no memory for a small product";
  const bool is_left_as_it_is =
      where == ggml_backend_cpu_repack_buffer_type() && weights->extra == nullptr;
  if (is_left_as_it_is) return "";  // ggml compiled for this level repacks no such weights
  ggml_backend_tensor_set(weights, product.blocks.data(), 0, product.blocks.size());
  const Panels panels = has_panels ? Panels({&weights, 1}) : Panels();
  for (const int n : {1, 2, 3, 4, 5, 6, 7, 8, 17, kMaxColumns}) {
    if (product.is_right(n, weights)) continue;
    return "the product of " + std::string(ggml_type_name(product.type)) + " weights (" +
           (has_panels ? "panels" : ggml_backend_buft_name(where)) + ") and " + std::to_string(n) +
           " columns is wrong";
  }
  return "";
}

std::string check_type(const WeightType& type) {
  constexpr int kRowsOfPartPanel = 40;
  const Product product(type.type, kRowsOfPartPanel);
  for (const WeightLayout layout : kWeightLayouts) {
    if (type.kernel(layout) == nullptr) continue;
    ggml_backend_buffer_type_t where = layout == WeightLayout::kX8
                                           ? ggml_backend_cpu_repack_buffer_type()
                                           : ggml_backend_cpu_buffer_type();
    std::string problem = check(product, where, layout == WeightLayout::kPanel);
    if (!problem.empty()) return problem;
  }
  return "";
}

}  // namespace

std::string check_products() {
  for (const WeightType& type : weight_types()) {
    const std::string problem = check_type(type);
    if (!problem.empty()) return problem;
  }
  return "";
}

}  // namespace pyserve
