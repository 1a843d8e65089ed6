#include "llama/context/context.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/check.h"
#include "ggml-cpu.h"
#include "llama-ext.h"
#include "llama.h"
#include "llama/context/flash_attn.h"
#include "llama/context/lazy_buffers.h"
#include "llama/context/memory_plan.h"
#include "llama/context/rope.h"
#include "llama/process/vendor_log.h"
#include "pyserve/error.h"

namespace pyserve {
namespace {

constexpr int kDefaultContextLimit = 8192;
constexpr int kFewThreads = 4;
constexpr uint32_t kPollOnManyCores = 50;
constexpr int kMaxSequences = 256;  // of the vendor
constexpr int kCellsPerPin = 256;
constexpr int64_t kPinnedStateBytes = int64_t{256} * 1024 * 1024;
// Steps in a row that were given up for others. Whoever comes then waits, of 17 one.
constexpr int kMostWaysGiven = 16;

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

bool all_give_way(const std::vector<BatchItem>& items) {
  return std::ranges::all_of(items, &BatchItem::gives_way);
}

int choose_n_ctx(const Model& model, const EngineConfig& config) {
  const int n_ctx_train = model.n_ctx_train();
  if (config.n_ctx <= 0) return std::min(n_ctx_train, kDefaultContextLimit);
  // Models for embeddings have no positions beyond those that they were trained for.
  return model.is_bidirectional() ? std::min(config.n_ctx, n_ctx_train) : config.n_ctx;
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
  params.n_outputs_max = std::max(n_seq, kMaxScored);
  params.n_threads = config.n_threads;
  params.n_threads_batch = config.n_threads;
  params.kv_unified = true;
  params.type_k = static_cast<ggml_type>(cache_type(config.cache_type_k));
  params.type_v = static_cast<ggml_type>(cache_type(config.cache_type_v));
  params.flash_attn_type = static_cast<llama_flash_attn_type>(flash_attn_type(config));
  set_rope(params, config.rope);
  params.no_perf = true;
  params.swa_full = is_window_full(model, config, n_kv, n_seq);
  return params;
}

// The states are wanted and not the logits, which would cost more than all else in a model with a
// large vocabulary: the graph is left as soon as the states are there. Without pooling they have
// the name of what is pooled, as have their projections after them.
bool stop_after_states(ggml_tensor* node, bool is_question, void* /*unused*/) {
  const bool are_states = std::strcmp(node->name, "result_embd_pooled") == 0;
  return is_question ? are_states : !are_states;
}

void ask_for_states(llama_context_params& params, bool has_projections) {
  params.embeddings = true;
  params.pooling_type = LLAMA_POOLING_TYPE_NONE;
  params.n_outputs_max = params.n_batch;
  if (!has_projections) params.cb_eval = stop_after_states;
}

std::shared_ptr<ggml_threadpool> new_threadpool(int n_threads) {
  ggml_threadpool_params params = ggml_threadpool_params_default(n_threads);
  // On few cores a spinning worker takes the time the front needs.
  params.poll = n_threads <= kFewThreads ? 0 : kPollOnManyCores;
  return {ggml_threadpool_new(&params), ggml_threadpool_free};
}

}  // namespace

void ContextDeleter::operator()(llama_context* context) const { llama_free(context); }

DecodeStatus decode_status(int vendor_status) {
  switch (vendor_status) {
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

int64_t context_bytes(const llama_context& context) {
  int64_t n_bytes = 0;
  for (const auto& [type, data] : llama_get_memory_breakdown(&context)) {
    n_bytes += static_cast<int64_t>(data.context);
  }
  return n_bytes;
}

int64_t graph_bytes(const llama_context& context) {
  int64_t n_bytes = 0;
  for (const auto& [type, data] : llama_get_memory_breakdown(&context)) {
    n_bytes += static_cast<int64_t>(data.compute);
  }
  return n_bytes;
}

Context::Context(const Model& model, const EngineConfig& config, const Context* threads,
                 ContextOutput output)
    : model_(model),
      threads_(threads),
      output_(output),
      threadpool_(threads != nullptr ? threads->threadpool_ : new_threadpool(max_threads(config))) {
  n_ctx_ = choose_n_ctx(model, config);
  n_kv_ = std::max(config.n_kv, n_ctx_);
  n_pins_ = threads != nullptr ? 0 : choose_n_pins(model, config, n_kv_);
  const int n_seq = config.n_seq_max + n_pins_;
  ContextShape shape;
  shape.n_kv = n_kv_;
  shape.n_seq = n_seq;
  shape.n_batch = config.n_batch;
  const bool has_states = output == ContextOutput::kStates;
  shape.n_outputs = has_states ? config.n_batch : std::max(n_seq, kMaxScored);
  shape.is_window_full = is_window_full(model, config, n_kv_, n_seq);
  shape.type_k = config.cache_type_k;
  shape.type_v = config.cache_type_v;
  shape.has_scores = flash_attn_type(config) == LLAMA_FLASH_ATTN_TYPE_DISABLED;
  check_memory(plan_memory(model, shape), config.n_bytes_available, n_kv_);
  llama_context_params params = context_params(model, config, n_kv_, n_seq);
  if (has_states) ask_for_states(params, model.has_projections());
  VendorLog::instance().begin_load(false);
  {
    const LazyBuffers are_lazy;
    context_.reset(llama_init_from_model(model.get(), params));
  }
  const std::string cause = VendorLog::instance().end_load();
  if (!context_) {
    throw EngineError(ErrorCode::kModelLoad, "cannot make a context of " + std::to_string(n_kv_) +
                                                 " tokens with a " + config.cache_type_k + "/" +
                                                 config.cache_type_v + " KV cache" +
                                                 (cause.empty() ? "" : ": " + cause));
  }
  memory_ = std::make_unique<ContextMemory>(context_.get(), model.n_swa());
  if (memory_->lacks_attention()) {
    throw EngineError(ErrorCode::kModelLoad,
                      "the model's file has no layer with attention, which a model of its "
                      "architecture has");
  }
  if (!memory_->can_share()) n_pins_ = 0;
  llama_attach_threadpool(context_.get(), threadpool_.get(), threadpool_.get());
  warm_up();
  // NOTE: only now; an abort callback makes the vendor check it between graph nodes.
  llama_set_abort_callback(
      context_.get(), [](void* self) { return static_cast<Context*>(self)->should_abort(); }, this);
}

bool Context::should_abort() const {
  pulse().beat();
  gave_way_ = must_give_way();
  const auto is_cancelled = [](const BatchItem& item) {
    return item.is_cancelled != nullptr && item.is_cancelled->load(std::memory_order_relaxed);
  };
  const bool is_wanted =
      gave_way_ || abort_.load(std::memory_order_relaxed) ||
      (threads_ != nullptr && threads_->abort_.load(std::memory_order_relaxed)) ||
      (items_ != nullptr && std::all_of(items_->begin(), items_->end(), is_cancelled));
  if (is_wanted) VendorLog::expect_failure(true);
  return is_wanted;
}

bool Context::must_give_way() const {
  if (n_ways_given_ >= kMostWaysGiven) return false;
  const Context& root = threads_ != nullptr ? *threads_ : *this;
  if (items_ == nullptr || !root.is_way_wanted_.load(std::memory_order_relaxed)) return false;
  const bool can_take_back = memory_->can_undo() || !memory_->has_memory();
  return can_take_back && all_give_way(*items_);
}

// The vendor takes back the part of a step that it was at.
void Context::take_back(const std::vector<BatchItem>& items) {
  for (const BatchItem& item : items) memory_->truncate(item.seq_id, item.pos);
}

void Context::check(const BatchItem& item) const {
  const auto is_valid = [this](Token token) { return token >= 0 && token < model_.n_vocab(); };
  const auto n_tokens = static_cast<int>(item.tokens.size());
  if (item.pos >= 0 && n_tokens > 0 && item.pos + n_tokens <= n_ctx_ && item.n_logits <= n_tokens &&
      std::all_of(item.tokens.begin(), item.tokens.end(), is_valid)) {
    return;
  }
  throw EngineError(ErrorCode::kInternal,
                    "a step has a token or a position out of range: " + std::to_string(n_tokens) +
                        " tokens from " + std::to_string(item.pos) + " in a context of " +
                        std::to_string(n_ctx_) + ", logits of " + std::to_string(item.n_logits));
}

// The vendor has two numbers, for one token and for more; a step of many requests that decode has
// many tokens.
void Context::set_threads(int n_threads) {
  llama_set_n_threads(context_.get(), n_threads, n_threads);
}

void Context::set_adapters(const AdapterSet& adapters) {
  if (adapters == adapters_) return;
  std::vector<llama_adapter_lora*> loaded;
  std::vector<float> scales;
  for (const AdapterScale& scaled : adapters) {
    loaded.push_back(model_.adapters().at(scaled.adapter).get());
    scales.push_back(scaled.scale);
  }
  llama_set_adapters_lora(context_.get(), loaded.data(), loaded.size(), scales.data());
  adapters_ = adapters;
}

DecodeStatus Context::decode(const std::vector<BatchItem>& items) {
  size_t n_tokens = 0;
  for (const BatchItem& item : items) n_tokens += item.tokens.size();
  BatchGuard guard(static_cast<int>(n_tokens));
  for (const BatchItem& item : items) {
    check(item);
    const auto n_item = static_cast<int>(item.tokens.size());
    for (int k = 0; k < n_item; ++k) {
      guard.add(item.tokens[k], item.pos + k, item.seq_id, k >= n_item - item.n_logits);
    }
  }
  items_ = &items;
  const int status = llama_decode(context_.get(), guard.batch);
  items_ = nullptr;
  VendorLog::expect_failure(false);
  if (status == 0) find_rows(items, guard.batch);
  const DecodeStatus told = decode_status(status);
  if (told == DecodeStatus::kOk && all_give_way(items)) n_ways_given_ = 0;
  if (told != DecodeStatus::kAborted || !gave_way_) return told;
  ++n_ways_given_;
  take_back(items);
  return DecodeStatus::kGaveWay;
}

// Here and not in logits(): the vendor sorts them at the first call.
void Context::find_rows(const std::vector<BatchItem>& items, const llama_batch& batch) {
  rows_.clear();
  for (int i = 0; i < batch.n_tokens; ++i) {
    if (batch.logits[i] == 0) continue;
    rows_.push_back(output_ == ContextOutput::kStates ? llama_get_embeddings_ith(context_.get(), i)
                                                      : llama_get_logits_ith(context_.get(), i));
    PYSERVE_CHECK(rows_.back() != nullptr);
  }
  first_row_.clear();
  first_token_.clear();
  int n_rows = 0;
  size_t n_tokens = 0;
  for (const BatchItem& item : items) {
    first_row_.push_back(n_rows);
    first_token_.push_back(n_tokens);
    n_rows += item.n_logits;
    n_tokens += item.tokens.size();
  }
}

std::span<float> Context::logits(size_t index, int k) const {
  return {rows_.at(first_row_.at(index) + k), static_cast<size_t>(model_.n_vocab())};
}

std::span<const float> Context::state(size_t index, int k) const {
  return {rows_.at(first_row_.at(index) + k), static_cast<size_t>(model_.n_embd_out())};
}

void Context::keep(const KeptStates& kept) {
  kept_ = kept;
  if (kept.has_last) llama_set_embeddings_nextn(context_.get(), true, false);
  for (const int layer : kept.layer_inputs) {
    llama_set_embeddings_layer_inp(context_.get(), layer, true);
  }
}

void Context::copy_kept(size_t index, int k, std::vector<float>& row) const {
  row.clear();
  const size_t token = first_token_.at(index) + k;
  const auto copy = [&](const float* rows, int n_row) {
    const float* begin = rows + token * n_row;
    row.insert(row.end(), begin, begin + n_row);
  };
  if (kept_.has_last) {
    copy(llama_get_embeddings_nextn(context_.get()), llama_model_n_embd_out(model_.get()));
  }
  for (const int layer : kept_.layer_inputs) {
    copy(llama_get_embeddings_layer_inp(context_.get(), layer), llama_model_n_embd(model_.get()));
  }
}

void Context::warm_up() {
  // A model without a memory only makes embeddings; it has no logits to ask for.
  if (!memory_->has_memory() && output_ != ContextOutput::kStates) return;
  // Touches weights and buffers so that the first request does not pay for it.
  const Token token = model_.bos() >= 0 ? model_.bos() : 0;
  const std::vector<Token> tokens(1, token);
  const DecodeStatus status = decode({BatchItem{0, 0, tokens, 1}});
  memory_->truncate(0, 0);
  if (status != DecodeStatus::kOk) {
    throw EngineError(ErrorCode::kModelLoad, "the model cannot compute its first tokens");
  }
}

}  // namespace pyserve
