// Matrix product of quantized weights with many columns of 32-bit activations.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pyserve {

// Sixteen rows of weights, as many as are unpacked together.
inline constexpr int kRowGroup = 16;
// Weights of one row that are unpacked at a time; the panel of all rows stays in the first cache.
inline constexpr int kPanelDepth = 128;

// Unpacks n_k weights of 16 rows to panel[k * panel_width + i], i < 16; row i starts at rows[i].
// n_k is a multiple of the type's block size.
using UnpackFn = void (*)(const char* const* rows, int n_k, float* panel, int panel_width);

// sums[c][r] += sum over k of panel[k][r] * x[c][k], for n_columns columns: column c at x + c *
// stride (floats), its sums at sums + c * panel_width.
using MultiplyFn = void (*)(const float* panel, int n_k, const float* x, size_t stride,
                            int n_columns, float* sums);

struct GemmKernels {
  const char* name;
  int panel_width;  // rows of a panel, a multiple of kRowGroup
  MultiplyFn multiply;
  UnpackFn unpack_q4_1;
  UnpackFn unpack_q5_1;
};

// The best implementation for this CPU, nullptr when it has not even AVX2 and FMA.
const GemmKernels* gemm_kernels();

#ifdef PYSERVE_X86_KERNELS
extern const GemmKernels kAvx2Gemm;
extern const GemmKernels kAvx512Gemm;
#endif

}  // namespace pyserve
