#include "kernels/matmul/int8_gemm.h"

namespace pyserve {

const Int8GemmKernels* int8_gemm_kernels(Rung rung) {
#ifdef PYSERVE_X86_KERNELS
  if (rung >= Rung::kAvx512Vnni) return &kVnniInt8Gemm;
  if (rung == Rung::kAvx512Bw) return &kAvx512Int8Gemm;
  if (rung == Rung::kAvx2) return &kAvx2Int8Gemm;
#endif
  return nullptr;
}

}  // namespace pyserve
