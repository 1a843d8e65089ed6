// Puts our kernels in front of the vendored ones.
#pragma once

#include "base/kernel_rung.h"

namespace pyserve {

// From now on the kernels of a rung compute the graph nodes that they know, the vendored ones all
// others; samplers use the rung, too. The vendored code for AMX is offered no weights. Where the
// system does not let this process use tiles, it is the rung without them.
// REQUIRES: the CPU has what the rung needs; nothing computes. The first call of a process comes
// before a model is loaded, which looks then at where weights may lie. Thread: one at a time.
void install_kernels(Rung rung);

// Whether the loader of the next model leaves weights that are best in panels (panels.h) as they
// are in the file, or repacks all that it knows, as it does at first. Thread: the loading one.
void leave_weights_to_panels(bool is_so);

}  // namespace pyserve
