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
  // A window per sequence can be larger than the whole cache; then the whole cache is cheaper, and
  // every prefix can be reused.
  params.swa_full = static_cast<int64_t>(model.n_swa()) * n_seq + config.n_batch >= n_kv;
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

Context::Context(const Model& model, const EngineConfig& config, int n_seq)
    : model_(model), threadpool_(new_threadpool(config.n_threads)) {
  n_ctx_ = choose_n_ctx(model, config);
  n_kv_ = std::max(config.n_kv, n_ctx_);
  const llama_context_params params = context_params(model, config, n_kv_, n_seq);
  context_.reset(llama_init_from_model(model.get(), params));
  if (!context_) {
    throw EngineError(ErrorCode::kModelLoad,
                      "cannot allocate a context of " + std::to_string(n_kv_) +
                          " tokens; choose a smaller --ctx-size or --kv-size");
  }
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

int Context::truncate(SeqId seq_id, int n_keep) {
  llama_memory_t memory = llama_get_memory(context_.get());
  if (n_keep > 0) {
    // Positions a sliding window has lost are needed again by the next token.
    const int pos_min = llama_memory_seq_pos_min(memory, seq_id);
    const int pos_max = llama_memory_seq_pos_max(memory, seq_id);
    const int needed_from = model_.n_swa() > 0 ? std::max(0, n_keep - model_.n_swa()) : 0;
    const bool has_all = pos_max + 1 >= n_keep && (model_.is_recurrent() || pos_min <= needed_from);
    if (has_all && pos_max + 1 == n_keep) return n_keep;
    if (has_all && llama_memory_seq_rm(memory, seq_id, n_keep, -1)) return n_keep;
  }
  llama_memory_seq_rm(memory, seq_id, -1, -1);
  return 0;
}

void Context::warm_up() {
  // Touches weights and buffers so that the first request does not pay for it.
  const Token token = model_.bos() >= 0 ? model_.bos() : 0;
  const std::vector<Token> tokens(1, token);
  const DecodeStatus status = decode({BatchItem{0, 0, tokens, true}});
  clear(0);
  if (status != DecodeStatus::kOk) {
    throw EngineError(ErrorCode::kModelLoad, "the model cannot compute its first tokens");
  }
}

}  // namespace pyserve
