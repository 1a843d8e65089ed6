// Compiled with -mavx512f -mavx512dq -mavx512bw -mavx512vl.

#include "kernels/matmul/int8/wide_avx512.h"
#include "kernels/matmul/tables/weight_table.h"

namespace pyserve {
namespace {

struct Bytes512 : Wide512 {
  static constexpr int kTile = 8;
  static constexpr int kMinRepackedKColumns = 1;
  static constexpr bool kHasDot = false;

  PYSERVE_WIDE Part multiply(Part weights, Part x) { return _mm512_maddubs_epi16(weights, x); }
  PYSERVE_WIDE Part add16(Part a, Part b) { return _mm512_add_epi16(a, b); }
  PYSERVE_WIDE Part add_widened(Part sums, Part products) {
    return _mm512_add_epi32(sums, _mm512_madd_epi16(products, _mm512_set1_epi16(1)));
  }
  PYSERVE_WIDE Part magnitude(Part weights) { return _mm512_abs_epi8(weights); }
  PYSERVE_WIDE Part with_sign_of(Part x, Part weights) {
    return _mm512_mask_sub_epi8(x, _mm512_movepi8_mask(weights), _mm512_setzero_si512(), x);
  }
};

}  // namespace

constinit const Int8GemmKernels kAvx512Int8Gemm = int8_gemm_kernels_of<Bytes512>("avx512bw");

}  // namespace pyserve
