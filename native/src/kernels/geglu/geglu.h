// GEGLU, the gate of Gemma's layers.
#pragma once

#include "base/kernel_rung.h"

namespace pyserve {

// y[i] = gelu(x[i]) * gate[i] for i < n, with the tanh form of GELU in 32-bit floats, relative
// error below 3e-6. Any thread; y may be x or gate. An element's bits do not depend on where it
// stands.
using GegluFn = void (*)(const float* x, const float* gate, int n, float* y);

// That of a rung; nullptr: it has none.
GegluFn geglu_kernel(Rung rung);

#ifdef PYSERVE_X86_KERNELS
extern const GegluFn kAvx2Geglu;
extern const GegluFn kAvx512Geglu;
#endif
#ifdef PYSERVE_ARM_KERNELS
extern const GegluFn kNeonGeglu;
#endif

}  // namespace pyserve
