#include "llama/context/head_context.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "ggml-backend.h"
#include "llama-ext.h"
#include "llama-model.h"
#include "llama.h"
#include "llama/context/flash_attn.h"
#include "llama/context/memory_plan.h"
#include "llama/process/vendor_log.h"
#include "pyserve/error.h"

namespace pyserve {
namespace {

// Beyond what its model has: those that a guess adds to each sequence.
constexpr int kExtraCells = 16;
constexpr int kMaxEncoded = 64;

// Whose heads the vendor can compute, beside memory that can be shared.
constexpr std::array kWithHead = {
    LLM_ARCH_BAILINGMOE3, LLM_ARCH_COHERE2MOE,     LLM_ARCH_DEEPSEEK2, LLM_ARCH_GLM4_MOE,
    LLM_ARCH_HY_V3,       LLM_ARCH_MIMO2,          LLM_ARCH_QWEN35,    LLM_ARCH_QWEN35MOE,
    LLM_ARCH_QWEN3NEXT,   LLM_ARCH_NEMOTRON_H_MOE, LLM_ARCH_STEP35,
};
// Of these, the ones that may have several: the first of them is used.
constexpr std::array kWithHeads = {LLM_ARCH_HY_V3, LLM_ARCH_MIMO2, LLM_ARCH_STEP35};
// Which tell what goes into their layers.
constexpr std::array kWithLayerInputs = {
    LLM_ARCH_BAILINGMOE3, LLM_ARCH_GEMMA4,    LLM_ARCH_LFM2,       LLM_ARCH_LFM2MOE,
    LLM_ARCH_LLAMA,       LLM_ARCH_MIMO2,     LLM_ARCH_MINIMAX_M2, LLM_ARCH_NEMOTRON_H,
    LLM_ARCH_OPENAI_MOE,  LLM_ARCH_QWEN3,     LLM_ARCH_QWEN35,     LLM_ARCH_QWEN35MOE,
    LLM_ARCH_QWEN3MOE,    LLM_ARCH_QWEN3NEXT,
};

template <size_t N>
bool contains(const std::array<llm_arch, N>& list, llm_arch arch) {
  return std::ranges::find(list, arch) != list.end();
}

// The vendor ends the process on a token that is not in the vocabulary.
bool has_bad_token(const llama_model& head) {
  if (head.d2t == nullptr) return false;
  std::vector<int64_t> tokens(head.d2t->ne[0]);
  if (head.d2t->type != GGML_TYPE_I64) return true;
  ggml_backend_tensor_get(head.d2t, tokens.data(), 0, tokens.size() * sizeof(int64_t));
  const auto n_vocab = static_cast<int64_t>(head.vocab.n_tokens());
  return std::ranges::any_of(tokens,
                             [n_vocab](int64_t token) { return token < 0 || token >= n_vocab; });
}

ContextShape shape_of(const Context& target, const EngineConfig& config, bool is_part) {
  ContextShape shape;
  shape.n_seq = config.n_seq_max + target.n_pins();
  shape.n_kv = target.n_kv() + kExtraCells * config.n_seq_max;
  shape.n_batch = config.n_batch;
  shape.n_outputs = std::max(shape.n_seq, kMaxEncoded);
  shape.is_window_full = true;
  shape.is_head = is_part;
  shape.type_k = shape.type_v = "f16";
  return shape;
}

void check_room(const Model& model, const Context& target, const EngineConfig& config,
                const Model* own) {
  if (config.n_bytes_available <= 0) return;
  MemoryPlan plan =
      plan_memory(own != nullptr ? *own : model, shape_of(target, config, own == nullptr));
  if (own == nullptr) plan.weights = 0;
  const int64_t n_taken = model.info().size_bytes + target.kv_bytes() + target.compute_bytes();
  check_memory(plan, std::max<int64_t>(config.n_bytes_available - n_taken, 1), target.n_kv());
}

}  // namespace

void BatchExtDeleter::operator()(llama_batch_ext* batch) const { llama_batch_ext_free(batch); }

std::string HeadContext::obstacle(const Model& model) {
  const llama_model& vendor = *model.get();
  const auto n_heads = static_cast<int>(vendor.hparams.n_layer_nextn);
  if (n_heads == 0 || vendor.hparams.router_layer >= 0) return "the model's file has no MTP head";
  if (!contains(kWithHead, vendor.arch) || (n_heads > 1 && !contains(kWithHeads, vendor.arch))) {
    return "the " + std::to_string(n_heads) + " MTP heads of " + model.info().architecture +
           " models cannot be computed";
  }
  const auto& head = vendor.layers.at(vendor.hparams.n_layer());
  const bool is_there = head.nextn.eh_proj != nullptr && head.nextn.enorm != nullptr &&
                        head.nextn.hnorm != nullptr && vendor.output != nullptr &&
                        (head.nextn.shared_head_norm != nullptr || vendor.output_norm != nullptr);
  return is_there ? "" : "the tensors of the MTP head are not in the model's file";
}

std::string HeadContext::obstacle(const Model& model, const Model& own) {
  const llama_model& vendor = *own.get();
  if (vendor.arch != LLM_ARCH_EAGLE3) return "it is no EAGLE3 head";
  if (!contains(kWithLayerInputs, model.get()->arch)) {
    return "the states of " + model.info().architecture + " models cannot be had for it";
  }
  const auto n_layer = static_cast<int>(model.get()->hparams.n_layer());
  for (const int32_t layer : vendor.target_layer_ids) {
    if (layer >= 0 && layer < n_layer) continue;
    return "it reads layer " + std::to_string(layer) + " of a model with " +
           std::to_string(n_layer) + " layers";
  }
  const auto n_read = static_cast<int>(vendor.hparams.n_embd_inp_enc() / 3);
  const auto n_embd = static_cast<int>(model.get()->hparams.n_embd);
  if (n_read != n_embd) {
    return "it reads states of " + std::to_string(n_read) + " numbers, the model has " +
           std::to_string(n_embd);
  }
  if (vendor.hparams.n_layer() != 1) {
    return "it has " + std::to_string(vendor.hparams.n_layer()) + " layers, not one";
  }
  const auto n_own = static_cast<int64_t>(vendor.hparams.n_embd);
  if (vendor.tok_embd == nullptr && model.get()->tok_embd->ne[0] != n_own) {
    return "it has no embeddings, and those of the model have another size";
  }
  if (vendor.output == nullptr &&
      (model.get()->output->ne[0] != n_own || model.n_vocab() != own.n_vocab())) {
    return "it has no output matrix, and that of the model has another size";
  }
  if (vendor.tok_embd != nullptr && vendor.tok_embd->ne[1] < model.n_vocab()) {
    return "it has embeddings of " + std::to_string(vendor.tok_embd->ne[1]) +
           " tokens, the model has " + std::to_string(model.n_vocab());
  }
  return has_bad_token(vendor) ? "its table of tokens names some that there are not" : "";
}

KeptStates HeadContext::kept_states(const Model* own) {
  KeptStates kept;
  if (own == nullptr) {
    kept.has_last = true;
  } else {
    for (const int32_t layer : own->get()->target_layer_ids) kept.layer_inputs.push_back(layer);
  }
  return kept;
}

HeadContext::HeadContext(const Model& model, const Context& target, const EngineConfig& config,
                         const Model* own)
    : head_(own != nullptr ? *own : model),
      has_encoder_(own != nullptr),
      target_(target),
      n_batch_(config.n_batch) {
  check_room(model, target, config, own);
  const ContextShape shape = shape_of(target, config, own == nullptr);
  llama_context_params params = llama_context_default_params();
  params.n_ctx = shape.n_kv;
  params.n_batch = config.n_batch;
  params.n_ubatch = config.n_batch;
  params.n_seq_max = shape.n_seq;
  params.n_outputs_max = shape.n_outputs;
  params.n_threads = config.n_threads;
  params.n_threads_batch = config.n_threads;
  params.kv_unified = true;
  params.swa_full = true;
  params.no_perf = true;
  params.flash_attn_type = static_cast<llama_flash_attn_type>(flash_attn_type(config));
  params.ctx_type = own != nullptr ? LLAMA_CONTEXT_TYPE_DEFAULT : LLAMA_CONTEXT_TYPE_MTP;
  params.ctx_other = target.get();
  VendorLog::instance().begin_load(false);
  context_.reset(llama_init_from_model(head_.get(), params));
  const std::string cause = VendorLog::instance().end_load();
  if (!context_) {
    throw EngineError(ErrorCode::kModelLoad, "cannot make a context for the model's head" +
                                                 (cause.empty() ? std::string() : ": " + cause));
  }
  memory_ = std::make_unique<ContextMemory>(context_.get(), head_.n_swa());
  if (!memory_->can_share() || !memory_->can_undo()) {
    throw EngineError(ErrorCode::kModelLoad, "the memory of the model's head cannot be shared");
  }
  llama_set_embeddings_nextn(context_.get(), true, true);
  batch_.reset(llama_batch_ext_init(context_.get()));
  llama_attach_threadpool(context_.get(), target.threadpool(), target.threadpool());
  warm_up();
  llama_set_abort_callback(
      context_.get(),
      [](void* self) { return static_cast<HeadContext*>(self)->target_.should_abort(); }, this);
}

int HeadContext::n_embd() const { return llama_model_n_embd_out(head_.get()); }

int HeadContext::end(SeqId seq_id) const {
  return llama_memory_seq_pos_max(llama_get_memory(context_.get()), seq_id) + 1;
}

void HeadContext::warm_up() {
  const std::vector<float> zeros(n_state());
  const Token token = head_.bos() >= 0 ? head_.bos() : 0;
  const HeadItem item{0, 0, token, zeros, false};
  const DecodeStatus status = decode(std::span(&item, 1), true);
  memory_->truncate(0, 0);
  if (status != DecodeStatus::kOk) {
    throw EngineError(ErrorCode::kModelLoad, "the model's head cannot compute a token");
  }
}

int HeadContext::n_state() const {
  return has_encoder_ ? static_cast<int>(head_.get()->hparams.n_embd_inp_enc()) : n_embd();
}

int64_t HeadContext::kv_bytes() const { return context_bytes(*context_); }

int64_t HeadContext::compute_bytes() const { return graph_bytes(*context_); }

DecodeStatus HeadContext::decode(std::span<const HeadItem> items, bool wants_outputs) {
  PYSERVE_CHECK(static_cast<int>(items.size()) <= n_batch_);
  if (has_encoder_ && !encode(items)) return DecodeStatus::kFailed;
  llama_batch_ext_clear(batch_.get());
  const auto width = static_cast<size_t>(n_embd());
  size_t n_encoded = 0;
  for (const HeadItem& item : items) {
    const bool is_encoded = has_encoder_ && !item.is_own;
    const float* state = is_encoded ? encoded_.data() + width * n_encoded++ : item.state.data();
    const int32_t index = llama_batch_ext_add_token(batch_.get(), item.seq_id, item.token);
    const llama_pos pos = item.pos;
    const bool is_added = index >= 0 &&
                          llama_batch_ext_set_embd_token(batch_.get(), index, {state, 1, width}) &&
                          llama_batch_ext_set_pos(batch_.get(), index, &pos) &&
                          llama_batch_ext_set_output_logits(batch_.get(), index, wants_outputs);
    if (!is_added) return DecodeStatus::kFailed;
  }
  const int status = llama_process(context_.get(), LLAMA_PROCESS_TYPE_DECODE, batch_.get());
  VendorLog::expect_failure(false);
  return decode_status(status);
}

// What the decoder reads in place of the model's states.
bool HeadContext::encode(std::span<const HeadItem> items) {
  encoded_.clear();
  std::vector<std::span<const float>> rows;
  for (const HeadItem& item : items) {
    if (!item.is_own) rows.push_back(item.state);
  }
  const auto width = static_cast<size_t>(n_embd());
  for (size_t first = 0; first < rows.size(); first += kMaxEncoded) {
    const size_t last = std::min(rows.size(), first + kMaxEncoded);
    llama_batch_ext_clear(batch_.get());
    for (size_t i = first; i < last; ++i) {
      const llama_embd embd{rows[i].data(), 1, rows[i].size()};
      const int32_t index = llama_batch_ext_add_embd(batch_.get(), 0, embd);
      // Nothing depends on sequence and position here, but they must be such as could come next.
      const llama_pos pos[4] = {end(0) + static_cast<llama_pos>(i - first), 0, 0, 0};
      if (index < 0 || !llama_batch_ext_set_pos(batch_.get(), index, pos)) return false;
    }
    const int status = llama_process(context_.get(), LLAMA_PROCESS_TYPE_ENCODE, batch_.get());
    VendorLog::expect_failure(false);
    if (status != 0) return false;
    const float* encoded = llama_get_embeddings_nextn(context_.get());
    encoded_.insert(encoded_.end(), encoded, encoded + (last - first) * width);
  }
  return true;
}

std::span<float> HeadContext::logits(int index) const {
  return {llama_get_logits_ith(context_.get(), index), static_cast<size_t>(head_.n_vocab())};
}

std::span<const float> HeadContext::state(int index) const {
  return {llama_get_embeddings_nextn_ith(context_.get(), index), static_cast<size_t>(n_embd())};
}

}  // namespace pyserve
