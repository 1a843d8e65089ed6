// Compiled with -mavx2 -mfma -mf16c.

#include "kernels/matmul/int8/wide_avx2.h"
#include "kernels/matmul/tables/weight_table.h"

namespace pyserve {
namespace {

template <typename Lanes>
struct Bytes256Of : Lanes {
  using Part = __m256i;
  static constexpr int kTile = 8;
  static constexpr int kMinRepackedKColumns = kNever;
  static constexpr bool kHasDot = false;

  PYSERVE_WIDE Part multiply(Part weights, Part x) { return _mm256_maddubs_epi16(weights, x); }
  PYSERVE_WIDE Part add16(Part a, Part b) { return _mm256_add_epi16(a, b); }
  PYSERVE_WIDE Part add_widened(Part sums, Part products) {
    return _mm256_add_epi32(sums, _mm256_madd_epi16(products, _mm256_set1_epi16(1)));
  }
  PYSERVE_WIDE Part magnitude(Part weights) { return _mm256_abs_epi8(weights); }
  PYSERVE_WIDE Part with_sign_of(Part x, Part weights) { return _mm256_sign_epi8(x, weights); }
};

struct Bytes256 : Bytes256Of<Wide256> {
  using Half = Bytes256Of<Half256>;
};

}  // namespace

constinit const Int8GemmKernels kAvx2Int8Gemm = int8_gemm_kernels_of<Bytes256>("avx2");

}  // namespace pyserve
