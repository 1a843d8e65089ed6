#include "llama/context/rope.h"

#include <array>
#include <string>
#include <utility>

#include "llama.h"
#include "pyserve/error.h"

namespace pyserve {
namespace {

llama_rope_scaling_type rope_scaling(const std::string& name) {
  using NamedType = std::pair<const char*, llama_rope_scaling_type>;
  constexpr std::array<NamedType, 5> kTypes = {
      NamedType{"", LLAMA_ROPE_SCALING_TYPE_UNSPECIFIED},
      NamedType{"none", LLAMA_ROPE_SCALING_TYPE_NONE},
      NamedType{"linear", LLAMA_ROPE_SCALING_TYPE_LINEAR},
      NamedType{"yarn", LLAMA_ROPE_SCALING_TYPE_YARN},
      NamedType{"longrope", LLAMA_ROPE_SCALING_TYPE_LONGROPE},
  };
  for (const auto& [known, type] : kTypes) {
    if (name == known) return type;
  }
  throw EngineError(ErrorCode::kInvalidRequest, "there is no scaling of positions '" + name +
                                                    "', choose none, linear, yarn or longrope");
}

}  // namespace

void set_rope(llama_context_params& params, const RopeConfig& rope) {
  params.rope_scaling_type = rope_scaling(rope.scaling);
  params.rope_freq_base = rope.freq_base;
  params.rope_freq_scale = rope.freq_scale;
  params.yarn_ext_factor = rope.yarn_ext_factor;
  params.yarn_attn_factor = rope.yarn_attn_factor;
  params.yarn_beta_fast = rope.yarn_beta_fast;
  params.yarn_beta_slow = rope.yarn_beta_slow;
  params.yarn_orig_ctx = rope.yarn_orig_ctx;
}

}  // namespace pyserve
