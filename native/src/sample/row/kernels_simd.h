// Implementations that are compiled for more than the baseline CPU. Check the CPU before use.
#pragma once

#include "sample/row/kernels.h"

namespace pyserve {

#ifdef PYSERVE_X86_KERNELS
extern const RowKernels kAvx2RowKernels;
extern const RowKernels kAvx512RowKernels;
#endif
#ifdef PYSERVE_ARM_KERNELS
extern const RowKernels kNeonRowKernels;
#endif

}  // namespace pyserve
