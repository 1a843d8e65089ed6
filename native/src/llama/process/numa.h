// `--numa`: spreads threads and memory over the memory nodes of a machine.
#pragma once

#include <string>

namespace pyserve {

// Spreads compute threads and memory over the nodes: "distribute", "isolate" or "numactl", as
// llama.cpp has them; "" does nothing. For the whole process, and the first call counts. Call it
// before a model is loaded. Throws EngineError(kInvalidRequest) for another word.
void init_numa(const std::string& strategy);

}  // namespace pyserve
