#include "kernels/recurrence/recurrence.h"

namespace pyserve {

const RecurrenceKernels* recurrence_kernels(Rung rung) {
#ifdef PYSERVE_X86_KERNELS
  if (rung >= Rung::kAvx512Bw) return &kAvx512Recurrence;
  if (rung >= Rung::kAvx2) return &kAvx2Recurrence;
#endif
#ifdef PYSERVE_ARM_KERNELS
  if (rung != Rung::kStock) return &kNeonRecurrence;
#endif
  return nullptr;
}

}  // namespace pyserve
