// `--override-kv`: values that count instead of the model file's metadata.
#pragma once

#include <string>
#include <vector>

#include "pyserve/config.h"

struct llama_model_kv_override;

namespace pyserve {

// For llama_model_params; the last one has no key. Throws EngineError(kModelLoad) that names
// one whose key or text is too long, or whose type is not that of the file's value.
std::vector<llama_model_kv_override> vendor_overrides(
    const std::vector<MetadataOverride>& overrides, const std::string& model_path);

}  // namespace pyserve
