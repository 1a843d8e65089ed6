// Compiled with -mavx2 -mfma -mf16c.

#include "base/simd_avx2.h"
#include "kernels/geglu/geglu.h"
#include "kernels/geglu/geglu_simd.h"

namespace pyserve {

constinit const GegluFn kAvx2Geglu = &Geglu<Avx2>::run;

}  // namespace pyserve
