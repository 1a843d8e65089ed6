
#include "base/simd_neon.h"
#include "kernels/recurrence/recurrence.h"
#include "kernels/recurrence/recurrence_simd.h"

namespace pyserve {

namespace {

// Four rows are added up together.
struct Lanes : NeonPair {
  // sums[i] = sum of the lanes of x[i], for i < 4.
  static void reduce_add4(const Vec* x, float* sums) {
    float32x4_t a[4];
    for (int i = 0; i < 4; ++i) a[i] = vaddq_f32(x[i].low, x[i].high);
    vst1q_f32(sums, vpaddq_f32(vpaddq_f32(a[0], a[1]), vpaddq_f32(a[2], a[3])));
  }
};

}  // namespace

constinit const RecurrenceKernels kNeonRecurrence = Recurrence<Lanes>::kKernels;

}  // namespace pyserve
