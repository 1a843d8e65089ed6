#include "llama/context.h"

#include <algorithm>
#include <memory>

#include "base/check.h"
#include "ggml-cpu.h"
#include "llama.h"
#include "pyserve/error.h"

namespace pyserve {
namespace {

constexpr int kDefaultContextLimit = 8192;
constexpr int kFewThreads = 4;
constexpr uint32_t kPollOnManyCores = 50;
constexpr int kMaxSequences = 256;  // of the vendor
constexpr int kCellsPerPin = 256;
constexpr int64_t kPinnedStateBytes = int64_t{256} * 1024 * 1024;

struct BatchGuard {
  explicit BatchGuard(int n_tokens) : batch(llama_batch_init(std::max(n_tokens, 1), 0, 1)) {}
  ~BatchGuard() { llama_batch_free(batch); }
  BatchGuard(const BatchGuard&) = delete;
  BatchGuard& operator=(const BatchGuard&) = delete;

  void add(Token token, int pos, SeqId seq_id, bool wants_logits) {
    const int i = batch.n_tokens++;
    batch.token[i] = token;
    batch.pos[i] = pos;
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = seq_id;
    batch.logits[i] = wants_logits ? 1 : 0;
  }

  llama_batch batch;
};

int choose_n_ctx(const Model& model, const EngineConfig& config) {
  const int n_ctx_train = model.n_ctx_train();
  if (config.n_ctx <= 0) return std::min(n_ctx_train, kDefaultContextLimit);
  return config.n_ctx;
}

// A window per sequence can be larger than the whole cache; then the whole cache is cheaper.
bool is_window_full(const Model& model, const EngineConfig& config, int n_kv, int n_seq) {
  return static_cast<int64_t>(model.n_swa()) * n_seq + config.n_batch >= n_kv;
}

// How many prefixes are kept beside the running requests. What one costs depends on the memory:
// a few bytes per cell, a window, or a state.
int choose_n_pins(const Model& model, const EngineConfig& config, int n_kv) {
  const int n_active = config.n_seq_max;
  const int n_most = kMaxSequences - n_active;
  if (const int64_t n_bytes = model.recurrent_state_bytes(); n_bytes > 0) {
    const auto n_fit = static_cast<int>(std::min<int64_t>(kPinnedStateBytes / n_bytes, n_most));
    return std::clamp(n_fit, 2, std::max(n_active, 8));
  }
  if (model.n_swa() > 0 && !is_window_full(model, config, n_kv, 2 * n_active)) return n_active;
  return std::min(std::max(n_kv / kCellsPerPin, n_active + 1), n_most);
}

llama_context_params context_params(const Model& model, const EngineConfig& config, int n_kv,
                                    int n_seq) {
  llama_context_params params = llama_context_default_params();
  params.n_ctx = n_kv;
  params.n_batch = config.n_batch;
  params.n_ubatch = config.n_batch;
  params.n_seq_max = n_seq;
  params.n_outputs_max = n_seq;
  params.n_threads = config.n_threads;
  params.n_threads_batch = config.n_threads;
  params.kv_unified = true;
  params.no_perf = true;
  params.swa_full = is_window_full(model, config, n_kv, n_seq);
  return params;
}

ggml_threadpool* new_threadpool(int n_threads) {
  ggml_threadpool_params params = ggml_threadpool_params_default(n_threads);
  // On few cores a spinning worker takes the time the front needs.
  params.poll = n_threads <= kFewThreads ? 0 : kPollOnManyCores;
  return ggml_threadpool_new(&params);
}

}  // namespace

void ContextDeleter::operator()(llama_context* context) const { llama_free(context); }
void ThreadpoolDeleter::operator()(ggml_threadpool* pool) const { ggml_threadpool_free(pool); }

Context::Context(const Model& model, const EngineConfig& config)
    : model_(model), threadpool_(new_threadpool(config.n_threads)) {
  n_ctx_ = choose_n_ctx(model, config);
  n_kv_ = std::max(config.n_kv, n_ctx_);
  n_pins_ = choose_n_pins(model, config, n_kv_);
  const int n_seq = config.n_seq_max + n_pins_;
  const llama_context_params params = context_params(model, config, n_kv_, n_seq);
  context_.reset(llama_init_from_model(model.get(), params));
  if (!context_) {
    throw EngineError(ErrorCode::kModelLoad,
                      "cannot allocate a context of " + std::to_string(n_kv_) +
                          " tokens; choose a smaller --ctx-size or --kv-size");
  }
  memory_ = std::make_unique<ContextMemory>(context_.get(), model.n_swa());
  if (!memory_->can_share()) n_pins_ = 0;
  llama_attach_threadpool(context_.get(), threadpool_.get(), threadpool_.get());
  warm_up();
  // NOTE: only now; an abort callback makes the vendor check it between graph nodes.
  llama_set_abort_callback(
      context_.get(), [](void* flag) { return static_cast<std::atomic<bool>*>(flag)->load(); },
      &abort_);
}

DecodeStatus Context::decode(const std::vector<BatchItem>& items) {
  size_t n_tokens = 0;
  for (const BatchItem& item : items) n_tokens += item.tokens.size();
  BatchGuard guard(static_cast<int>(n_tokens));
  logits_index_.assign(items.size(), -1);
  for (size_t i = 0; i < items.size(); ++i) {
    const BatchItem& item = items[i];
    for (size_t k = 0; k < item.tokens.size(); ++k) {
      const bool is_last = k + 1 == item.tokens.size();
      if (is_last && item.wants_logits) logits_index_[i] = guard.batch.n_tokens;
      guard.add(item.tokens[k], item.pos + static_cast<int>(k), item.seq_id,
                is_last && item.wants_logits);
    }
  }
  switch (llama_decode(context_.get(), guard.batch)) {
    case 0:
      return DecodeStatus::kOk;
    case 1:
      return DecodeStatus::kNoCells;
    case 2:
      return DecodeStatus::kAborted;
    default:
      return DecodeStatus::kFailed;
  }
}

std::span<float> Context::logits(size_t index) {
  PYSERVE_CHECK(logits_index_.at(index) >= 0);
  float* row = llama_get_logits_ith(context_.get(), logits_index_[index]);
  PYSERVE_CHECK(row != nullptr);
  return {row, static_cast<size_t>(model_.n_vocab())};
}

void Context::warm_up() {
  // Touches weights and buffers so that the first request does not pay for it.
  const Token token = model_.bos() >= 0 ? model_.bos() : 0;
  const std::vector<Token> tokens(1, token);
  const DecodeStatus status = decode({BatchItem{0, 0, tokens, true}});
  memory_->truncate(0, 0);
  if (status != DecodeStatus::kOk) {
    throw EngineError(ErrorCode::kModelLoad, "the model cannot compute its first tokens");
  }
}

}  // namespace pyserve
