#include "pyserve/quantize.h"

#include <array>
#include <utility>

#include "llama.h"
#include "llama/process/vendor_log.h"
#include "pyserve/error.h"

namespace pyserve {
namespace {

using NamedType = std::pair<const char*, llama_ftype>;
// Those that need no importance matrix.
constexpr std::array<NamedType, 21> kTypes = {
    NamedType{"F32", LLAMA_FTYPE_ALL_F32},          NamedType{"F16", LLAMA_FTYPE_MOSTLY_F16},
    NamedType{"BF16", LLAMA_FTYPE_MOSTLY_BF16},     NamedType{"Q8_0", LLAMA_FTYPE_MOSTLY_Q8_0},
    NamedType{"Q6_K", LLAMA_FTYPE_MOSTLY_Q6_K},     NamedType{"Q5_K_M", LLAMA_FTYPE_MOSTLY_Q5_K_M},
    NamedType{"Q5_K_S", LLAMA_FTYPE_MOSTLY_Q5_K_S}, NamedType{"Q5_1", LLAMA_FTYPE_MOSTLY_Q5_1},
    NamedType{"Q5_0", LLAMA_FTYPE_MOSTLY_Q5_0},     NamedType{"Q4_K_M", LLAMA_FTYPE_MOSTLY_Q4_K_M},
    NamedType{"Q4_K_S", LLAMA_FTYPE_MOSTLY_Q4_K_S}, NamedType{"Q4_1", LLAMA_FTYPE_MOSTLY_Q4_1},
    NamedType{"Q4_0", LLAMA_FTYPE_MOSTLY_Q4_0},     NamedType{"IQ4_NL", LLAMA_FTYPE_MOSTLY_IQ4_NL},
    NamedType{"IQ4_XS", LLAMA_FTYPE_MOSTLY_IQ4_XS}, NamedType{"Q3_K_L", LLAMA_FTYPE_MOSTLY_Q3_K_L},
    NamedType{"Q3_K_M", LLAMA_FTYPE_MOSTLY_Q3_K_M}, NamedType{"Q3_K_S", LLAMA_FTYPE_MOSTLY_Q3_K_S},
    NamedType{"Q2_K", LLAMA_FTYPE_MOSTLY_Q2_K},     NamedType{"TQ2_0", LLAMA_FTYPE_MOSTLY_TQ2_0},
    NamedType{"TQ1_0", LLAMA_FTYPE_MOSTLY_TQ1_0},
};

llama_ftype type_of(const std::string& name) {
  std::string names;
  for (const auto& [known, type] : kTypes) {
    if (name == known) return type;
    names += (names.empty() ? "" : ", ") + std::string(known);
  }
  throw EngineError(ErrorCode::kInvalidRequest,
                    "there is no type '" + name + "', choose one of " + names);
}

}  // namespace

void quantize_model(const std::string& path_in, const std::string& path_out,
                    const QuantizeOptions& options) {
  llama_model_quantize_params params = llama_model_quantize_default_params();
  params.ftype = type_of(options.type);
  params.nthread = options.n_threads;
  params.allow_requantize = options.allow_requantize;
  VendorLog::instance().begin_load(false);
  const uint32_t status = llama_model_quantize(path_in.c_str(), path_out.c_str(), &params);
  const std::string cause = VendorLog::instance().end_load();
  if (status == 0) return;
  throw EngineError(ErrorCode::kModelLoad,
                    "the model cannot be quantized" + (cause.empty() ? "" : ": " + cause));
}

}  // namespace pyserve
