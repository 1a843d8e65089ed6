// Compiled with -mavx2 -mfma -mf16c -mavxvnni.

#include "kernels/matmul/int8/wide_avx2.h"
#include "kernels/matmul/tables/weight_table.h"

namespace pyserve {
namespace {

template <typename Lanes>
struct AvxVnniOf : Lanes {
  using Part = __m256i;
  static constexpr int kTile = 8;
  static constexpr int kMinRepackedKColumns = 1;
  static constexpr bool kHasDot = true;

  PYSERVE_WIDE Part dot(Part sums, Part weights, Part x) {
    return _mm256_dpbusd_avx_epi32(sums, weights, x);
  }
  PYSERVE_WIDE Part add_pairs(Part sums, Part a, Part b) {
    return _mm256_dpwssd_avx_epi32(sums, a, b);
  }
};

struct AvxVnni : AvxVnniOf<Wide256> {
  using Half = AvxVnniOf<Half256>;
};

}  // namespace

constinit const Int8GemmKernels kAvxVnniInt8Gemm = int8_gemm_kernels_of<AvxVnni>("avxvnni");

}  // namespace pyserve
