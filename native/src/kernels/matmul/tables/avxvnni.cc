// Compiled with -mavx2 -mfma -mf16c -mavxvnni.

#include "kernels/matmul/int8/wide_avx2.h"
#include "kernels/matmul/tables/weight_table.h"

namespace pyserve {
namespace {

struct AvxVnni : Wide256 {
  static constexpr int kTile = 8;
  static constexpr int kMinKColumns = 2;
  static constexpr int kMinRepackedKColumns = 1;
  static constexpr bool kHasDot = true;

  PYSERVE_WIDE Part dot(Part sums, Part weights, Part x) {
    return _mm256_dpbusd_avx_epi32(sums, weights, x);
  }
};

}  // namespace

constinit const Int8GemmKernels kAvxVnniInt8Gemm = int8_gemm_kernels_of<AvxVnni>("avxvnni");

}  // namespace pyserve
