#include "kernels/matmul/placed_weights.h"

#include <algorithm>

#include "ggml-backend.h"
#include "kernels/matmul/panels.h"
#include "repack.h"

namespace pyserve {
namespace {

constexpr int kRepackedRows = 8;  // that the vendored library puts side by side

bool is_repacked(const ggml_tensor* weights) {
  return weights->buffer != nullptr &&
         weights->buffer->buft == ggml_backend_cpu_repack_buffer_type() &&
         weights->extra != nullptr && weights->ne[1] % kRepackedRows == 0;
}

bool is_plain(const ggml_tensor* weights) {
  return weights->buffer == nullptr || ggml_backend_buffer_is_host(weights->buffer);
}

}  // namespace

PlacedWeights::PlacedWeights(const Int8GemmKernels& kernels, const ggml_tensor* weights)
    : tensor(weights), type(kernels.find(weights->type)) {
  if (type == nullptr) return;
  if (is_repacked(weights)) {
    kernel = type->kernel(WeightLayout::kX8);
    rows_together = kRepackedRows;
  } else if (is_plain(weights)) {
    if (type->kernel(WeightLayout::kPanel) != nullptr) panels = panels_of(weights);
    if (panels != nullptr) n_panel_bytes = type->panel_bytes(weights->ne[0]);
    kernel = type->kernel(panels == nullptr ? WeightLayout::kFile : WeightLayout::kPanel);
  }
}

void PlacedWeights::find(int64_t first_row, const char** rows, int64_t matrix,
                         int64_t first_k) const {
  if (panels != nullptr) {
    rows[0] = panels +
              (matrix * panels_of_a_matrix(tensor) + first_row / kGemmRows) * n_panel_bytes +
              type->panel_bytes(first_k);
    return;
  }
  const char* data = static_cast<const char*>(tensor->data) + matrix * tensor->nb[2] +
                     rows_together * ggml_row_size(tensor->type, first_k);
  for (int i = 0; i < kGemmRows; ++i) {
    const int64_t group = first_row + i - i % rows_together;
    rows[i] = data + std::min(group, tensor->ne[1] - rows_together) * tensor->nb[1];
  }
}

}  // namespace pyserve
