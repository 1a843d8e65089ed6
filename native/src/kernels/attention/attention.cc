#include "kernels/attention/attention.h"

namespace pyserve {

const AttentionKernels* attention_kernels(Rung rung) {
#ifdef PYSERVE_X86_KERNELS
  if (rung >= Rung::kAvx512Bw) return &kAvx512Attention;
  if (rung >= Rung::kAvx2) return &kAvx2Attention;
#endif
#ifdef PYSERVE_ARM_KERNELS
  if (rung != Rung::kStock) return &kNeonAttention;
#endif
  return nullptr;
}

}  // namespace pyserve
