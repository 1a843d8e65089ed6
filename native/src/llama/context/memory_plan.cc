#include "llama/context/memory_plan.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "ggml.h"
#include "llama-model.h"
#include "pyserve/error.h"

namespace pyserve {
namespace {

using NamedType = std::pair<const char*, ggml_type>;
constexpr std::array<NamedType, 9> kCacheTypes = {
    NamedType{"f16", GGML_TYPE_F16},       NamedType{"q8_0", GGML_TYPE_Q8_0},
    NamedType{"q4_0", GGML_TYPE_Q4_0},     NamedType{"f32", GGML_TYPE_F32},
    NamedType{"bf16", GGML_TYPE_BF16},     NamedType{"q4_1", GGML_TYPE_Q4_1},
    NamedType{"q5_0", GGML_TYPE_Q5_0},     NamedType{"q5_1", GGML_TYPE_Q5_1},
    NamedType{"iq4_nl", GGML_TYPE_IQ4_NL},
};

int64_t row_bytes(ggml_type type, int64_t n_values) {
  const int64_t n_block = ggml_blck_size(type);
  return (n_values + n_block - 1) / n_block * static_cast<int64_t>(ggml_type_size(type));
}

int64_t kv_bytes(const Model& model, const ContextShape& shape) {
  const llama_hparams& hparams = model.get()->hparams;
  const auto type_k = static_cast<ggml_type>(cache_type(shape.type_k));
  const auto type_v = static_cast<ggml_type>(cache_type(shape.type_v));
  const int64_t n_window =
      std::min<int64_t>(shape.n_kv, int64_t{model.n_swa()} * shape.n_seq + shape.n_batch);
  int64_t n_bytes = shape.is_head ? 0 : model.recurrent_state_bytes() * shape.n_seq;
  const uint32_t begin = shape.is_head ? hparams.n_layer() : 0;
  const uint32_t end = shape.is_head ? hparams.n_layer_all : hparams.n_layer();
  for (uint32_t layer = begin; layer < end; ++layer) {
    if (model.is_recurrent() && hparams.is_recr(layer)) continue;
    const bool is_window = hparams.is_swa(layer) && !shape.is_window_full;
    const int64_t n_cells = is_window ? n_window : shape.n_kv;
    n_bytes += n_cells * (row_bytes(type_k, hparams.n_embd_k_gqa(layer)) +
                          row_bytes(type_v, hparams.n_embd_v_gqa(layer)));
  }
  return n_bytes;
}

// What lives at once in the graph of a step: a few activations of the batch, the widest of the
// feed-forward block, the attention mask, scores without flash attention, and the logits.
int64_t compute_bytes(const Model& model, const ContextShape& shape) {
  const llama_hparams& hparams = model.get()->hparams;
  int64_t n_ff = 0;
  int64_t n_head = 0;
  for (uint32_t layer = 0; layer < hparams.n_layer(); ++layer) {
    n_ff = std::max<int64_t>(n_ff, hparams.n_ff(layer));
    n_head = std::max<int64_t>(n_head, hparams.n_head(layer));
  }
  const int64_t n_scores = shape.has_scores ? n_head * shape.n_batch * shape.n_kv : 0;
  const int64_t n_values = shape.n_batch * (3 * int64_t{hparams.n_embd} + n_ff) + n_scores +
                           int64_t{shape.n_outputs} * model.n_vocab();
  constexpr int64_t kMaskBytes = sizeof(ggml_fp16_t);
  return n_values * static_cast<int64_t>(sizeof(float)) +
         int64_t{shape.n_batch} * shape.n_kv * kMaskBytes;
}

std::string mib(int64_t n_bytes) {
  return std::to_string((n_bytes + (1 << 20) - 1) >> 20) + " MiB";
}

}  // namespace

int cache_type(const std::string& name) {
  std::string names;
  for (const auto& [known, type] : kCacheTypes) {
    if (name == known) return type;
    names += (names.empty() ? "" : ", ") + std::string(known);
  }
  throw EngineError(ErrorCode::kInvalidRequest,
                    "there is no cache type '" + name + "', choose one of " + names);
}

MemoryPlan plan_memory(const Model& model, const ContextShape& shape) {
  MemoryPlan plan;
  plan.weights = model.info().size_bytes;
  for (const Adapter& adapter : model.adapters()) plan.weights += adapter.n_bytes();
  plan.kv = kv_bytes(model, shape);
  plan.compute = compute_bytes(model, shape);
  return plan;
}

void check_memory(const MemoryPlan& plan, int64_t n_bytes_available, int n_kv) {
  if (n_bytes_available <= 0 || plan.total() <= n_bytes_available) return;
  ErrorInfo info{ErrorCode::kModelLoad, {}, {}, {}};
  info.message = "the model needs " + mib(plan.total()) + " (weights " + mib(plan.weights) +
                 ", a KV cache of " + std::to_string(n_kv) + " tokens " + mib(plan.kv) +
                 ", computing " + mib(plan.compute) + "), but " + mib(n_bytes_available) +
                 " are available; choose a smaller model, --ctx-size or --kv-size, or "
                 "--cache-type-k q8_0 --cache-type-v q8_0";
  info.details = {{"n_bytes_needed", plan.total()}, {"n_bytes_available", n_bytes_available}};
  throw EngineError(std::move(info));
}

}  // namespace pyserve
