// Scaling of positions (RoPE, YaRN).
#pragma once

#include "pyserve/config.h"

struct llama_context_params;

namespace pyserve {

// Throws EngineError(kInvalidRequest) for a scaling that there is not.
void set_rope(llama_context_params& params, const RopeConfig& rope);

}  // namespace pyserve
