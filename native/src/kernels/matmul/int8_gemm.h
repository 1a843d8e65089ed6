// Matrix product of quantized weights with activations rounded to 8 bits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/kernel_rung.h"
#include "kernels/matmul/int8_columns.h"

namespace pyserve {

// Quantizes one column of n_k floats (a multiple of 32).
using QuantizeFn = void (*)(const float* x, int n_k, int8_t* q, float* d, int32_t* sums);

// sums[column][i] = dot product of weight row i with the column, for 16 rows; row i starts at
// rows[i].
using Multiply16Fn = void (*)(const char* const* rows, const Int8Columns& columns, float* sums);

// Deals out 16 rows of n_bytes (a multiple of 4), 4 bytes of each in turn.
using DealOutFn = void (*)(const char* const* rows, size_t n_bytes, char* out);

inline constexpr int kNever = 1 << 30;  // as n_min_columns

// One type of weights. Columns are multiplied with the type for which they were quantized.
struct Int8Kernel {
  int n_min_columns;  // with fewer the vendored product is as fast or faster
  QuantizeFn quantize;
  Multiply16Fn multiply;
};

// How the rows of weights lie in memory: as in the file, 16 side by side in a panel of ours
// (panels.h; rows[0] is the panel), or 8 side by side as the vendored library repacks them when it
// loads (x8; rows[0] and rows[8] are the groups of 8).
struct Int8GemmKernels {
  const char* name;
  DealOutFn deal_out;
  Int8Kernel q4_0, q4_1, q5_0, q5_1, q8_0, q4_k, q5_k, q6_k;
  Int8Kernel q4_0_panel, q4_1_panel, q5_0_panel, q5_1_panel, q8_0_panel;
  Int8Kernel q4_k_panel, q5_k_panel, q6_k_panel;
  Int8Kernel q4_0x8, q4_kx8;
};

// Those of a rung; nullptr: it has none.
const Int8GemmKernels* int8_gemm_kernels(Rung rung);

#ifdef PYSERVE_X86_KERNELS
extern const Int8GemmKernels kVnniInt8Gemm;
extern const Int8GemmKernels kAvx512Int8Gemm;
extern const Int8GemmKernels kAvx2Int8Gemm;
#endif

}  // namespace pyserve
