// Compiled with -mavx2 -mfma -mf16c.
#include "base/simd_avx2.h"
#include "kernels/recurrence/recurrence.h"
#include "kernels/recurrence/recurrence_simd.h"

namespace pyserve {

namespace {

// Four rows are added up together.
struct Lanes : Avx2 {
  // sums[i] = sum of the lanes of x[i], for i < 4.
  static void reduce_add4(const Vec* x, float* sums) {
    const Vec a = _mm256_hadd_ps(_mm256_hadd_ps(x[0], x[1]), _mm256_hadd_ps(x[2], x[3]));
    _mm_storeu_ps(sums, _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1)));
  }
};

}  // namespace

constinit const RecurrenceKernels kAvx2Recurrence = Recurrence<Lanes>::kKernels;

}  // namespace pyserve
