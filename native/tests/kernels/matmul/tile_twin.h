// The product in tiles, with a twin of the processor's registers written in plain C++.
#pragma once

#include "kernels/matmul/weight_types.h"

namespace pyserve {

// REQUIRES: the CPU has what the AVX2 rung needs.
const Int8GemmKernels& tile_twin();

}  // namespace pyserve
