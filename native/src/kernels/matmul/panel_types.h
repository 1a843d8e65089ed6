// Which weights are laid out in panels (panels.h).
#pragma once

#include "ggml.h"

namespace pyserve {

// Whether matrices of this type are best in panels, so that the vendored library need not repack
// them. REQUIRES: install_kernels() was called.
bool are_best_in_panels(ggml_type type);

}  // namespace pyserve
