#include "kernels/matmul/panels.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/kernel_rung.h"
#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "ggml.h"
#include "kernels/matmul/weight_types.h"

namespace pyserve {
namespace {

struct Free {
  void operator()(ggml_context* context) const { ggml_free(context); }
  void operator()(ggml_backend_buffer_t buffer) const { ggml_backend_buffer_free(buffer); }
};

constexpr int64_t kK = 2048;
constexpr int64_t kRows = 1001;  // the last panel of a matrix is not full
constexpr int kMatrices = 3;     // which together are more than one part of the work

// Weights of any bytes, from `seed` on.
struct Weights {
  Weights(ggml_type type, int64_t n_matrices, uint32_t seed)
      : context(ggml_init({1U << 12, nullptr, true})),
        tensor(ggml_new_tensor_3d(context.get(), type, kK, kRows, n_matrices)),
        buffer(ggml_backend_alloc_ctx_tensors_from_buft(context.get(),
                                                        ggml_backend_cpu_buffer_type())) {
    auto* const data = static_cast<uint8_t*>(tensor->data);
    for (int64_t i = 0; i < n_matrices; ++i) {
      uint32_t state = seed + static_cast<uint32_t>(i);
      for (size_t k = 0; k < tensor->nb[2]; ++k) {
        state = state * 1664525 + 1013904223;
        data[i * tensor->nb[2] + k] = static_cast<uint8_t>(state >> 24);
      }
    }
  }

  std::unique_ptr<ggml_context, Free> context;
  ggml_tensor* tensor;
  std::unique_ptr<ggml_backend_buffer, Free> buffer;
};

}  // namespace

TEST_CASE("panels that several threads lay out in parts are those of each matrix product") {
  const Int8GemmKernels* kernels = int8_gemm_kernels(rung_in_force());
  if (kernels == nullptr) return;
  for (const WeightType& type : kernels->types) {
    Weights all(type.type, kMatrices, 1);
    const Panels of_all({&all.tensor, 1}, 3);
    if (of_all.n_bytes() == 0) continue;
    CAPTURE(ggml_type_name(type.type));
    const size_t n_bytes =
        static_cast<size_t>(panels_of_a_matrix(all.tensor)) * type.panel_bytes(kK);
    for (int i = 0; i < kMatrices; ++i) {
      Weights one(type.type, 1, 1 + static_cast<uint32_t>(i));
      const Panels of_one({&one.tensor, 1});
      const std::string_view expected(panels_of(one.tensor), n_bytes);
      CHECK(std::string_view(panels_of(all.tensor) + i * n_bytes, n_bytes) == expected);
    }
  }
}

}  // namespace pyserve
