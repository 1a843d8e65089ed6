// GEGLU, the gate of Gemma's layers.
#pragma once

#include <string_view>

namespace pyserve {

// y[i] = gelu(x[i]) * gate[i] for i < n, with the tanh form of GELU in 32-bit floats, relative
// error below 3e-6. Any thread; y may be x or gate. An element's bits do not depend on where it
// stands.
using GegluFn = void (*)(const float* x, const float* gate, int n, float* y);

// The best for this CPU; `name` as in attention_kernels(). nullptr: it has none.
GegluFn geglu_kernel(std::string_view name = "");

#ifdef PYSERVE_X86_KERNELS
extern const GegluFn kAvx2Geglu;
extern const GegluFn kAvx512Geglu;
#endif

}  // namespace pyserve
