#include "base/simd_neon.h"
#include "kernels/geglu/geglu.h"
#include "kernels/geglu/geglu_simd.h"

namespace pyserve {

constinit const GegluFn kNeonGeglu = &Geglu<NeonPair>::run;

}  // namespace pyserve
