#include "llama/process/numa.h"

#include <mutex>

#include "ggml-cpu.h"
#include "llama.h"
#include "pyserve/error.h"

namespace pyserve {
namespace {

ggml_numa_strategy strategy_of(const std::string& name) {
  if (name == "distribute") return GGML_NUMA_STRATEGY_DISTRIBUTE;
  if (name == "isolate") return GGML_NUMA_STRATEGY_ISOLATE;
  if (name == "numactl") return GGML_NUMA_STRATEGY_NUMACTL;
  throw EngineError(ErrorCode::kInvalidRequest,
                    "numa is '" + name + "', choose distribute, isolate or numactl");
}

}  // namespace

void init_numa(const std::string& strategy) {
  if (strategy.empty()) return;
  static std::once_flag is_done;
  std::call_once(is_done, llama_numa_init, strategy_of(strategy));
}

}  // namespace pyserve
