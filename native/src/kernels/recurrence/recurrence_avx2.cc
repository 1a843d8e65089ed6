// Compiled with -mavx2 -mfma -mf16c.
#include "base/simd_avx2.h"
#include "kernels/recurrence/recurrence.h"
#include "kernels/recurrence/recurrence_simd.h"

namespace pyserve {

constinit const RecurrenceKernels kAvx2Recurrence = Recurrence<Avx2>::kKernels;

}  // namespace pyserve
