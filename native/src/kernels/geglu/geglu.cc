#include "kernels/geglu/geglu.h"

namespace pyserve {

GegluFn geglu_kernel(Rung rung) {
#ifdef PYSERVE_X86_KERNELS
  if (rung >= Rung::kAvx512Bw) return kAvx512Geglu;
  if (rung >= Rung::kAvx2) return kAvx2Geglu;
#endif
#ifdef PYSERVE_ARM_KERNELS
  if (rung != Rung::kStock) return kNeonGeglu;
#endif
  return nullptr;
}

}  // namespace pyserve
