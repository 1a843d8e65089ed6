#include "kernels/attention.h"

namespace pyserve {

const AttentionKernels* attention_kernels(std::string_view name) {
#ifdef PYSERVE_X86_KERNELS
  if (name != kAvx2Attention.name && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq")) {
    return &kAvx512Attention;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      __builtin_cpu_supports("f16c")) {
    return &kAvx2Attention;
  }
#endif
  return nullptr;
}

}  // namespace pyserve
