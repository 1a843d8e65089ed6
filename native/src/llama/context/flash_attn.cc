#include "llama/context/flash_attn.h"

#include "ggml.h"
#include "llama.h"
#include "llama/context/memory_plan.h"
#include "pyserve/error.h"

namespace pyserve {

int flash_attn_type(const EngineConfig& config) {
  if (config.flash_attn == "auto") return LLAMA_FLASH_ATTN_TYPE_AUTO;
  if (config.flash_attn == "on") return LLAMA_FLASH_ATTN_TYPE_ENABLED;
  if (config.flash_attn != "off") {
    throw EngineError(ErrorCode::kInvalidRequest,
                      "flash_attn is '" + config.flash_attn + "', choose on, off or auto");
  }
  if (ggml_is_quantized(static_cast<ggml_type>(cache_type(config.cache_type_v)))) {
    throw EngineError(ErrorCode::kModelLoad,
                      "without flash attention values cannot be cached in " + config.cache_type_v +
                          ": choose cache_type_v f16, bf16 or f32, or flash_attn on");
  }
  return LLAMA_FLASH_ATTN_TYPE_DISABLED;
}

}  // namespace pyserve
