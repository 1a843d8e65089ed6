// Matrix product of quantized weights with activations rounded to 8 bits, for CPUs with VNNI.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pyserve {

// Activations of one block of 32: value = d * q; s = d * sum of q, for weights with an offset.
inline constexpr int kInt8Block = 32;

// All columns, quantized. Row-major, one row per column of the product.
struct Int8Columns {
  const int8_t* q;  // [column][n_k]
  const float* d;   // [column][n_k / 32]
  const float* s;   // [column][n_k / 32]
  int n_k;
  int n_columns;
};

// Quantizes one column of n_k floats (a multiple of 32).
using QuantizeFn = void (*)(const float* x, int n_k, int8_t* q, float* d, float* s);

// sums[column][i] = dot product of weight row i with the column, for 16 rows; row i starts at
// rows[i].
using Multiply16Fn = void (*)(const char* const* rows, const Int8Columns& columns, float* sums);

struct Int8GemmKernels {
  const char* name;
  QuantizeFn quantize;
  Multiply16Fn multiply_q4_1;
  Multiply16Fn multiply_q5_1;
};

// nullptr on CPUs without 512-bit VNNI: there 32-bit floats are as fast, and more exact.
const Int8GemmKernels* int8_gemm_kernels();

#ifdef PYSERVE_X86_KERNELS
extern const Int8GemmKernels kVnniGemm;
#endif

}  // namespace pyserve
