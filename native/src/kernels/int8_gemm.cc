#include "kernels/int8_gemm.h"

namespace pyserve {

const Int8GemmKernels* int8_gemm_kernels(std::string_view name) {
  const auto is_wanted = [&](const Int8GemmKernels& kernels) {
    return name.empty() || name == kernels.name;
  };
#ifdef PYSERVE_X86_KERNELS
  const bool has_avx512 = __builtin_cpu_supports("avx512vl") &&
                          __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
  if (has_avx512 && __builtin_cpu_supports("avx512vnni") && is_wanted(kVnniInt8Gemm)) {
    return &kVnniInt8Gemm;
  }
  if (has_avx512 && is_wanted(kAvx512Int8Gemm)) return &kAvx512Int8Gemm;
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                        __builtin_cpu_supports("f16c");
  if (has_avx2 && is_wanted(kAvx2Int8Gemm)) return &kAvx2Int8Gemm;
#endif
  return nullptr;
}

}  // namespace pyserve
