// The types of weights that our matrix product knows, a row of a table each.
//
// A new type is what unpacks its blocks (int8/unpack.h; of floats, floats/gemm_simd.h, there are no
// blocks and no panels) and its row in tables/weight_table.h:
// products, panels, the proof of kernels, tests and benches take what they need of it from here.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/kernel_rung.h"
#include "ggml.h"
#include "kernels/matmul/int8/gemm.h"

namespace pyserve {

// How the rows of weights lie in memory, and how 16 of them are handed to Multiply16Fn.
enum class WeightLayout {
  kFile,   // as in the file: row i begins at rows[i]
  kPanel,  // 16 side by side in a panel of ours (panels.h), which begins at rows[0]
  kX8,     // 8 side by side as the vendored library repacks them when it loads: rows[0], rows[8]
};
inline constexpr std::array kWeightLayouts{WeightLayout::kFile, WeightLayout::kPanel,
                                           WeightLayout::kX8};

const char* name_of(WeightLayout layout);

// What a row becomes before it is dealt out to a panel.
struct PanelForm {
  int n_together;       // blocks of the file that are written together
  size_t packed_bytes;  // of them
  size_t scale_bytes;   // that each begins with; they follow the rest of all of them
  int n_multiple;       // of how many blocks a row has a multiple
};

struct WeightType {
  // Nullptr: a product of such weights is the vendored library's.
  const Int8Kernel* kernel(WeightLayout layout) const;
  // Of a panel whose rows have `n_k` weights.
  size_t panel_bytes(int64_t n_k) const;

  ggml_type type;
  PanelForm panel_form;
  Int8Kernel kernels[kWeightLayouts.size()];  // by layout
};

// The product as some instruction set computes it.
struct Int8GemmKernels {
  // Nullptr: the type is not known.
  const WeightType* find(ggml_type type) const;

  const char* name;
  DealOutFn deal_out;
  std::span<const WeightType> types;
};

// While it lives, this thread can multiply up to n_columns.
class Multiplying {
 public:
  Multiplying(const Int8Kernel& kernel, int64_t n_columns)
      : end_(n_columns > kernel.n_plain_columns ? kernel.end : nullptr) {
    if (n_columns > kernel.n_plain_columns) kernel.begin();
  }
  ~Multiplying() {
    if (end_ != nullptr) end_();
  }
  Multiplying(const Multiplying&) = delete;
  Multiplying& operator=(const Multiplying&) = delete;

 private:
  void (*end_)();
};

// Those of a rung; nullptr: it has none.
const Int8GemmKernels* int8_gemm_kernels(Rung rung);

// All types, for whoever goes through them: every rung that has kernels knows the same ones. None
// in a build without kernels.
std::span<const WeightType> weight_types();

// Whether matrices of this type are best in panels, so that the vendored library need not repack
// them. REQUIRES: install_kernels() was called.
bool is_best_in_panels(ggml_type type);

#ifdef PYSERVE_X86_KERNELS
extern const Int8GemmKernels kAmxInt8Gemm;
extern const Int8GemmKernels kAmxBf16Gemm;  // with the dot product of AVX512-BF16
extern const Int8GemmKernels kVnniInt8Gemm;
extern const Int8GemmKernels kVnniBf16Gemm;
extern const Int8GemmKernels kAvx512Int8Gemm;
extern const Int8GemmKernels kAvxVnniInt8Gemm;
extern const Int8GemmKernels kAvx2Int8Gemm;
#endif
#ifdef PYSERVE_ARM_KERNELS
extern const Int8GemmKernels kI8mmInt8Gemm;
extern const Int8GemmKernels kDotProdInt8Gemm;
#endif

}  // namespace pyserve
