// The product of weights of bfloat16 with the dot product of AVX512-BF16: columns are rounded to
// bfloat16, as the vendored library rounds them. What the tables take of it is compiled apart.
#pragma once

#include "kernels/matmul/int8/gemm.h"

namespace pyserve {

struct Bf16Dot {
  static constexpr int kValueBytes = 2;
  static void quantize(const float* x, int n_k, int8_t* q, float* d, int32_t* sums);
  static void multiply(const char* const* rows, const Int8Columns& columns, float* sums);
};

}  // namespace pyserve
