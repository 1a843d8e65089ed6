#include "kernels/panel_gemm.h"

#include "kernels/int8_gemm.h"

namespace pyserve {

const GemmKernels* gemm_kernels() {
#ifdef PYSERVE_X86_KERNELS
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")) return &kAvx512Gemm;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      __builtin_cpu_supports("f16c")) {
    return &kAvx2Gemm;
  }
#endif
  return nullptr;
}

const Int8GemmKernels* int8_gemm_kernels() {
#ifdef PYSERVE_X86_KERNELS
  if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")) {
    return &kVnniGemm;
  }
#endif
  return nullptr;
}

}  // namespace pyserve
