// Compiled with -mavx512f -mavx512dq.

#include "base/simd_avx512.h"
#include "kernels/geglu/geglu.h"
#include "kernels/geglu/geglu_simd.h"

namespace pyserve {

constinit const GegluFn kAvx512Geglu = &Geglu<Avx512>::run;

}  // namespace pyserve
