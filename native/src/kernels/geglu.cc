#include "kernels/geglu.h"

#include "kernels/attention.h"

namespace pyserve {

GegluFn geglu_kernel(std::string_view name) {
#ifdef PYSERVE_X86_KERNELS
  const AttentionKernels* attention = attention_kernels(name);
  if (attention == &kAvx512Attention) return kAvx512Geglu;
  if (attention == &kAvx2Attention) return kAvx2Geglu;
#endif
  return nullptr;
}

}  // namespace pyserve
