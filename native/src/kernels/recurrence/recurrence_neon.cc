
#include "base/simd_neon.h"
#include "kernels/recurrence/recurrence.h"
#include "kernels/recurrence/recurrence_simd.h"

namespace pyserve {

constinit const RecurrenceKernels kNeonRecurrence = Recurrence<NeonPair>::kKernels;

}  // namespace pyserve
