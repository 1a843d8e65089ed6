// Compiled with -mavx512f -mavx512dq.
#include "base/simd_avx512.h"
#include "kernels/recurrence/recurrence.h"
#include "kernels/recurrence/recurrence_simd.h"

namespace pyserve {

constinit const RecurrenceKernels kAvx512Recurrence = Recurrence<Avx512>::kKernels;

}  // namespace pyserve
