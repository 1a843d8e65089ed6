// Compiled with -march=armv8.2-a+dotprod.

#include "kernels/matmul/int8/wide_neon.h"
#include "kernels/matmul/tables/weight_table.h"

namespace pyserve {
namespace {

struct DotProd : NeonDot {};

}  // namespace

constinit const Int8GemmKernels kDotProdInt8Gemm = int8_gemm_kernels_of<DotProd>("dotprod");

}  // namespace pyserve
