#include "kernels/matmul/weight_types.h"

#include <algorithm>
#include <string_view>

#include "base/cpu_features.h"

namespace pyserve {
namespace {

#ifdef PYSERVE_X86_KERNELS
// No rung of its own: with and without it the others' products are the same.
bool has_bf16() {
  static const bool has = [] {
    constexpr std::string_view kFeature[] = {"avx512bf16"};
    return missing_features(kFeature).empty();
  }();
  return has;
}
#endif

}  // namespace

const char* name_of(WeightLayout layout) {
  constexpr const char* kNames[kWeightLayouts.size()] = {"file", "panels", "x8"};
  return kNames[static_cast<size_t>(layout)];
}

const Int8Kernel* WeightType::kernel(WeightLayout layout) const {
  const Int8Kernel& kernel = kernels[static_cast<size_t>(layout)];
  return kernel.multiply == nullptr ? nullptr : &kernel;
}

size_t WeightType::panel_bytes(int64_t n_k) const {
  const auto n_blocks = static_cast<size_t>(n_k / ggml_blck_size(type));
  const size_t rest_bytes = n_blocks % panel_form.n_together * ggml_type_size(type);
  return kGemmRows *
         (n_blocks / panel_form.n_together * panel_form.packed_bytes + (rest_bytes + 3) / 4 * 4);
}

const WeightType* Int8GemmKernels::find(ggml_type type) const {
  const auto found = std::ranges::find(types, type, &WeightType::type);
  return found == types.end() ? nullptr : &*found;
}

const Int8GemmKernels* int8_gemm_kernels(Rung rung) {
#ifdef PYSERVE_X86_KERNELS
  if (rung == Rung::kAmx) return has_bf16() ? &kAmxBf16Gemm : &kAmxInt8Gemm;
  if (rung == Rung::kAvx512Vnni) return has_bf16() ? &kVnniBf16Gemm : &kVnniInt8Gemm;
  if (rung == Rung::kAvx512Bw) return &kAvx512Int8Gemm;
  if (rung == Rung::kAvxVnni) return &kAvxVnniInt8Gemm;
  if (rung == Rung::kAvx2) return &kAvx2Int8Gemm;
#endif
#ifdef PYSERVE_ARM_KERNELS
  if (rung == Rung::kI8mm) return &kI8mmInt8Gemm;
  if (rung == Rung::kDotProd) return &kDotProdInt8Gemm;
#endif
  return nullptr;
}

std::span<const WeightType> weight_types() {
  const Int8GemmKernels* kernels = int8_gemm_kernels(kLadder.front());
  return kernels == nullptr ? std::span<const WeightType>() : kernels->types;
}

bool is_best_in_panels(ggml_type type) {
  const Int8GemmKernels* kernels = int8_gemm_kernels(rung_in_force());
  const WeightType* found = kernels == nullptr ? nullptr : kernels->find(type);
  if (found == nullptr || found->kernel(WeightLayout::kPanel) == nullptr) return false;
  // What it repacks may be faster with its own kernel than panels are with ours.
  const Int8Kernel* repacked = found->kernel(WeightLayout::kX8);
  return repacked == nullptr || repacked->n_min_columns == 1;
}

}  // namespace pyserve
