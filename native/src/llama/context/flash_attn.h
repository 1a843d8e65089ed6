// `--flash-attn`: attention in one operation, or in several over a matrix of all scores.
#pragma once

#include "pyserve/config.h"

namespace pyserve {

// The llama_flash_attn_type that the settings mean. Throws EngineError: kInvalidRequest for
// a word that there is not, kModelLoad for a KV cache that needs the one operation.
int flash_attn_type(const EngineConfig& config);

}  // namespace pyserve
