// Predicts how much memory a model takes, before it is loaded.
#pragma once

#include <cstdint>
#include <string>

#include "llama/model/model.h"

namespace pyserve {

// The ggml_type of a KV cache's elements by its name in llama.cpp ("f16", "q8_0", "q4_0", ...).
// Throws EngineError(kInvalidRequest) that lists the names.
int cache_type(const std::string& name);

struct ContextShape {
  int n_kv = 0;
  int n_seq = 0;
  int n_batch = 0;
  int n_outputs = 0;
  bool is_window_full = false;
  bool has_scores = false;  // those of all heads at once: no flash attention
  bool is_head = false;     // of the layers of the model's head, not of its others
  std::string type_k;
  std::string type_v;
};

struct MemoryPlan {
  int64_t weights = 0;  // bytes, as all
  int64_t kv = 0;       // caches and states
  int64_t compute = 0;  // an estimate; the others are exact but for padding

  int64_t total() const { return weights + kv + compute; }
};

MemoryPlan plan_memory(const Model& model, const ContextShape& shape);

// Throws EngineError(kModelLoad) with the numbers when `plan` is more than `n_bytes_available`.
// 0: not known, nothing is refused.
void check_memory(const MemoryPlan& plan, int64_t n_bytes_available, int n_kv);

}  // namespace pyserve
