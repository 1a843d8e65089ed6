#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/cpu_features.h"
#include "base/kernel_rung.h"
#include "ggml-backend.h"
#include "ggml.h"
#include "kernels/matmul/columns.h"
#include "kernels/matmul/emulated_tiles.h"
#include "kernels/matmul/panels.h"
#include "kernels/matmul/tile_twin.h"

namespace pyserve {
namespace {

constexpr int kK = 768;  // three blocks of the longest types; pieces of 8 blocks, and of 2

std::vector<float> numbers(size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> out(n);
  for (float& x : out) x = normal(random);
  return out;
}

// Columns as they lie in a work buffer, each rounded as `kernel` wants it.
struct Columns {
  Columns(const Int8Kernel& kernel, const std::vector<float>& x, int n_columns)
      : buffer(RoundedColumns::n_bytes(kernel, kK, n_columns), 0x55),
        rounded(kernel, kK, n_columns, buffer.data()),
        view(rounded.columns(0, n_columns)) {
    for (int c = 0; c < n_columns; ++c) {
      rounded.round(x.data() + static_cast<size_t>(c) * kK, c, 0, kK);
    }
  }

  std::vector<char> buffer;
  RoundedColumns rounded;
  Int8Columns view;
};

struct Free {
  void operator()(ggml_context* context) const { ggml_free(context); }
  void operator()(ggml_backend_buffer* buffer) const { ggml_backend_buffer_free(buffer); }
};

// Sixteen rows in the layout.
struct Rows {
  Rows(ggml_type type, WeightLayout layout)
      : context(ggml_init({1U << 12, nullptr, true})),
        tensor(ggml_new_tensor_2d(context.get(), type, kK, kGemmRows)),
        buffer(ggml_backend_alloc_ctx_tensors_from_buft(context.get(),
                                                        ggml_backend_cpu_buffer_type())),
        values(static_cast<size_t>(kK) * kGemmRows) {
    const std::vector<float> source = numbers(values.size(), 1);
    auto* data = static_cast<char*>(tensor->data);
    ggml_quantize_chunk(type, source.data(), data, 0, kGemmRows, kK, nullptr);
    ggml_get_type_traits(type)->to_float(data, values.data(), static_cast<int64_t>(values.size()));
    for (int i = 0; i < kGemmRows; ++i) pointers[i] = data + i * tensor->nb[1];
    if (layout != WeightLayout::kPanel) return;
    panels = Panels({&tensor, 1});
    pointers[0] = panels_of(tensor);
  }
  bool is_there() const { return pointers[0] != nullptr; }

  std::unique_ptr<ggml_context, Free> context;
  ggml_tensor* tensor;
  std::unique_ptr<ggml_backend_buffer, Free> buffer;
  std::vector<float> values;
  Panels panels;
  const char* pointers[kGemmRows];
};

std::vector<float> product(const Int8Kernel& kernel, const Rows& rows, const std::vector<float>& x,
                           int n_columns) {
  const Columns columns(kernel, x, n_columns);
  std::vector<float> sums(static_cast<size_t>(n_columns) * kGemmRows);
  const Multiplying multiplying(kernel, n_columns);
  kernel.multiply(rows.pointers, columns.view, sums.data());
  return sums;
}

}  // namespace

TEST_CASE("products in tiles have the bits of single columns, whatever the number of columns") {
  if (!can_run(Rung::kAvx2)) return;
  const Int8GemmKernels& twin = tile_twin();
  constexpr int kMaxColumns = 35;
  const std::vector<float> x = numbers(static_cast<size_t>(kK) * kMaxColumns, 2);
  int n_checked = 0;
  int n_in_panels = 0;
  for (const WeightType& type : twin.types) {
    for (const WeightLayout layout : {WeightLayout::kFile, WeightLayout::kPanel}) {
      CAPTURE(std::string(ggml_type_name(type.type)) + " " + name_of(layout));
      if (type.kernel(layout) == nullptr) continue;
      n_in_panels += layout == WeightLayout::kPanel;
      const Int8Kernel& kernel = *type.kernel(layout);
      const Rows rows(type.type, layout);
      if (!rows.is_there()) continue;  // without kernels there are no panels
      std::vector<float> one_by_one;
      for (int c = 0; c < kMaxColumns; ++c) {
        const std::vector<float> column(x.begin() + c * kK, x.begin() + (c + 1) * kK);
        for (const float sum : product(kernel, rows, column, 1)) one_by_one.push_back(sum);
      }
      for (const int n : {5, 15, 16, 17, 32, kMaxColumns}) {
        CAPTURE(n);
        const std::vector<float> sums = product(kernel, rows, x, n);
        CHECK(std::memcmp(sums.data(), one_by_one.data(), sums.size() * sizeof(float)) == 0);
      }
      double worst = 0;
      for (int c = 0; c < kMaxColumns; ++c) {
        for (int i = 0; i < kGemmRows; ++i) {
          double sum = 0;
          for (int k = 0; k < kK; ++k) sum += rows.values[i * kK + k] * x[c * kK + k];
          worst = std::max(worst, std::abs(sum - one_by_one[c * kGemmRows + i]));
        }
      }
      CHECK(worst < 0.03 * std::sqrt(kK));
      ++n_checked;
    }
  }
  CHECK(n_in_panels > 0);
  CHECK(n_checked ==
        static_cast<int>(twin.types.size()) + (rung_in_force() == Rung::kStock ? 0 : n_in_panels));
}

TEST_CASE("products in tiles have the bits of the kernels in registers") {
  if (!can_run(Rung::kAvx512Vnni)) return;
  const Int8GemmKernels& twin = tile_twin();
  const Int8GemmKernels& vnni = *int8_gemm_kernels(Rung::kAvx512Vnni);
  constexpr int kColumns = 21;
  const std::vector<float> x = numbers(static_cast<size_t>(kK) * kColumns, 3);
  for (const WeightType& type : twin.types) {
    CAPTURE(ggml_type_name(type.type));
    const Rows rows(type.type, WeightLayout::kFile);
    const Int8Kernel& other = *vnni.find(type.type)->kernel(WeightLayout::kFile);
    if (other.value_bytes > 1) continue;  // floats, in other lanes
    CHECK(product(*type.kernel(WeightLayout::kFile), rows, x, kColumns) ==
          product(other, rows, x, kColumns));
  }
}

TEST_CASE("the instructions of tiles, as compiled, make the bits of the kernels in registers") {
  if (!can_run(Rung::kAvx512Vnni)) return;
  std::optional<EmulatedTiles> emulated;
  if (!can_run(Rung::kAmx)) {
    emulated.emplace();
  } else {
    REQUIRE(request_tiles());
  }
  const int64_t n_before = EmulatedTiles::n_done();
  const Int8GemmKernels& amx = *int8_gemm_kernels(Rung::kAmx);
  const Int8GemmKernels& vnni = *int8_gemm_kernels(Rung::kAvx512Vnni);
  constexpr int kMaxColumns = 35;
  const std::vector<float> x = numbers(static_cast<size_t>(kK) * kMaxColumns, 4);
  for (const WeightType& type : amx.types) {
    for (const WeightLayout layout : {WeightLayout::kFile, WeightLayout::kPanel}) {
      CAPTURE(std::string(ggml_type_name(type.type)) + " " + name_of(layout));
      if (type.kernel(layout) == nullptr) continue;
      const Rows rows(type.type, layout);
      if (!rows.is_there()) continue;  // without kernels there are no panels
      for (const int n : {1, 5, 16, kMaxColumns}) {
        CAPTURE(n);
        CHECK(product(*type.kernel(layout), rows, x, n) ==
              product(*vnni.find(type.type)->kernel(layout), rows, x, n));
      }
    }
  }
  if (emulated) CHECK(EmulatedTiles::n_done() > n_before);
}

}  // namespace pyserve
