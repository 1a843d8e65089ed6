// Compiled with -mavx512f -mavx512dq.
#include "base/simd_avx512.h"
#include "kernels/recurrence/recurrence.h"
#include "kernels/recurrence/recurrence_simd.h"

namespace pyserve {

namespace {

// Four rows are added up together.
struct Lanes : Avx512 {
  // sums[i] = sum of the lanes of x[i], for i < 4.
  static void reduce_add4(const Vec* x, float* sums) {
    const __m512d a =
        _mm512_castps_pd(add(_mm512_unpacklo_ps(x[0], x[1]), _mm512_unpackhi_ps(x[0], x[1])));
    const __m512d b =
        _mm512_castps_pd(add(_mm512_unpacklo_ps(x[2], x[3]), _mm512_unpackhi_ps(x[2], x[3])));
    // In each 128-bit lane the partial sums of all four.
    const Vec c =
        add(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
    const __m256 d = _mm256_add_ps(_mm512_castps512_ps256(c), _mm512_extractf32x8_ps(c, 1));
    _mm_storeu_ps(sums, _mm_add_ps(_mm256_castps256_ps128(d), _mm256_extractf128_ps(d, 1)));
  }
};

}  // namespace

constinit const RecurrenceKernels kAvx512Recurrence = Recurrence<Lanes>::kKernels;

}  // namespace pyserve
