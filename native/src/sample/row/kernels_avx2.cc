// Compiled with -mavx2 -mfma.

#include <immintrin.h>

#include "base/simd_avx2.h"
#include "sample/row/kernels_passes.h"
#include "sample/row/kernels_simd.h"

namespace pyserve {
namespace {

struct Avx2Row : Avx2 {
  using Flags = __m256;
  static constexpr size_t kBitsOfLane = 1;

  static Flags no_flags() { return _mm256_setzero_ps(); }
  static Flags is_nan(Vec x) { return _mm256_cmp_ps(x, x, _CMP_UNORD_Q); }
  static Flags either(Flags a, Flags b) { return _mm256_or_ps(a, b); }
  static bool any(Flags flags) { return _mm256_movemask_ps(flags) != 0; }
  static unsigned at_least(Vec x, Vec limit) {
    return static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps(x, limit, _CMP_GE_OQ)));
  }
};

}  // namespace

constinit const RowKernels kAvx2RowKernels = RowPasses<Avx2Row>::kernels("avx2");

}  // namespace pyserve
