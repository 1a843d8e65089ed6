#include "llama/model/model.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "ggml-cpu.h"
#include "kernels/install.h"
#include "llama-model.h"
#include "llama.h"
#include "llama/model/overrides.h"
#include "llama/process/numa.h"
#include "llama/process/vendor_log.h"
#include "pyserve/error.h"
#include "text/utf8.h"

namespace pyserve {
namespace {

template <typename Call>
std::string read_string(Call call) {
  std::string buffer(256, '\0');
  int32_t n = call(buffer.data(), buffer.size());
  if (n < 0) return {};
  if (static_cast<size_t>(n) >= buffer.size()) {
    buffer.resize(n + 1);
    n = call(buffer.data(), buffer.size());
  }
  buffer.resize(n);
  return buffer;
}

llama_load_mode load_mode(const EngineConfig& config) {
  if (config.use_mlock) {
    return config.use_mmap ? LLAMA_LOAD_MODE_MMAP_MLOCK : LLAMA_LOAD_MODE_MLOCK;
  }
  return config.use_mmap ? LLAMA_LOAD_MODE_MMAP : LLAMA_LOAD_MODE_NONE;
}

// Who asks for locked pages or for a place on a memory node wants those of the file.
bool wants_panels(const EngineConfig& config) {
  return config.use_mmap && !config.use_mlock && config.numa.empty();
}

llama_model* load(const EngineConfig& config, bool with_head) {
  VendorLog& log = VendorLog::instance();
  init_numa(config.numa);
  const std::vector<llama_model_kv_override> overrides =
      vendor_overrides(config.overrides, config.model_path);
  log.begin_load(true);
  llama_model_params params = llama_model_default_params();
  params.load_mode = load_mode(config);
  params.load_mtp = with_head;
  leave_weights_to_panels(wants_panels(config));
  if (!overrides.empty()) params.kv_overrides = overrides.data();
  llama_model* model = llama_model_load_from_file(config.model_path.c_str(), params);
  const std::string cause = log.end_load();
  if (model == nullptr) {
    const std::string name = std::filesystem::path(config.model_path).filename().string();
    throw EngineError(ErrorCode::kModelLoad,
                      "cannot load the model file " + name + ": " +
                          (cause.empty() ? "it is missing, damaged or not supported" : cause));
  }
  return model;
}

// Whether columns are multiplied with it as with one matrix, or with some of a list of experts.
bool is_multiplied(const std::string& name, const ggml_tensor* weights) {
  return weights->ne[2] == 1 || name.find("exps") != name.npos;
}

// The matrices that columns are multiplied with. The others of their kind are tables, of which rows
// are read.
std::vector<ggml_tensor*> matrices(const llama_model& model) {
  std::vector<ggml_tensor*> found;
  for (const auto& [name, tensor] : model.tensors_by_name) {
    const bool is_table = tensor == model.per_layer_tok_embd || tensor == model.pos_embd ||
                          tensor == model.type_embd ||
                          (tensor == model.tok_embd && tensor != model.output);
    if (!is_table && is_multiplied(name, tensor)) found.push_back(tensor);
  }
  return found;
}

// A model that is to be refused for its size takes no memory before.
Panels lay_out(const llama_model& model, const EngineConfig& config) {
  const auto n_bytes = static_cast<int64_t>(llama_model_size(&model));
  const bool is_too_large = config.n_bytes_available > 0 && n_bytes > config.n_bytes_available;
  if (!wants_panels(config) || is_too_large) return {};
  return Panels(matrices(model), std::max(config.n_threads, config.n_threads_batch));
}

// What the ranking head looks at.
Pooling ranked_pooling(const llama_model& model) {
  if (RankHead(model).n_out() == 0) return Pooling::kNone;
  if (model.hparams.pooling_type_cls == LLAMA_POOLING_TYPE_MEAN) return Pooling::kMean;
  return model.hparams.causal_attn ? Pooling::kLast : Pooling::kFirst;
}

}  // namespace

void ModelDeleter::operator()(llama_model* model) const { llama_model_free(model); }

Model::Model(const EngineConfig& config, ModelUse use)
    : model_(load(config, use == ModelUse::kTextAndHead)), panels_(lay_out(*model_, config)) {
  const std::vector<std::string>& shown = config.shown_tokens;
  const bool can_answer =
      llama_model_has_decoder(model_.get()) && !llama_model_has_encoder(model_.get());
  if (!can_answer && use != ModelUse::kHead) {
    throw EngineError(ErrorCode::kModelLoad,
                      "the model is not a decoder-only language model, which is all that can "
                      "generate text here");
  }
  if (llama_vocab_n_tokens(vocab()) <= 0 || llama_vocab_type(vocab()) == LLAMA_VOCAB_TYPE_NONE) {
    throw EngineError(ErrorCode::kModelLoad, "the model file has no tokenizer");
  }
  for (Token token = 0; token < n_vocab(); ++token) {
    if (is_eog(token)) eog_tokens_.push_back(token);
    longest_piece_bytes_ = std::max(longest_piece_bytes_, piece(token, true).size());
  }
  const auto kind = llama_vocab_type(vocab());
  if (kind != LLAMA_VOCAB_TYPE_SPM && kind != LLAMA_VOCAB_TYPE_BPE) longest_piece_bytes_ = 0;
  int32_t n_suppressed = 0;
  const llama_token* suppressed = llama_vocab_get_suppress_tokens(vocab(), &n_suppressed);
  if (suppressed != nullptr) suppressed_tokens_.assign(suppressed, suppressed + n_suppressed);
  const std::vector<SpecialToken> specials = special_tokens();
  text_cutter_ = std::make_unique<TextCutter>(vocab(), specials);
  for (const SpecialToken& special : specials) {
    if (std::find(shown.begin(), shown.end(), special.text) != shown.end() &&
        !is_eog(special.token)) {
      shown_tokens_.push_back(special.token);
    }
  }
  for (const std::string& path : config.adapter_paths) adapters_.emplace_back(get(), path);
}

const llama_vocab* Model::vocab() const { return llama_model_get_vocab(get()); }

ModelInfo Model::info() const {
  ModelInfo info;
  const auto meta = [this](const char* key) {
    return read_string([&](char* buffer, size_t size) {
      return llama_model_meta_val_str(get(), key, buffer, size);
    });
  };
  info.name = sanitize_utf8(meta("general.name"));
  info.architecture = meta("general.architecture");
  info.description = read_string(
      [this](char* buffer, size_t size) { return llama_model_desc(get(), buffer, size); });
  info.quantization = llama_ftype_name(llama_model_ftype(get()));
  info.n_params = static_cast<int64_t>(llama_model_n_params(get()));
  info.size_bytes = static_cast<int64_t>(llama_model_size(get()));
  info.n_vocab = n_vocab();
  info.n_embd = llama_model_n_embd(get());
  info.n_layer = llama_model_n_layer(get());
  info.n_ctx_train = llama_model_n_ctx_train(get());
  info.n_ranks = rank_head().n_out();
  info.can_generate = !is_bidirectional() && info.n_ranks == 0;
  for (const std::string& label : rank_head().labels()) {
    info.rank_labels.push_back(sanitize_utf8(label));
  }
  info.rank_template = sanitize_utf8(chat_template("rerank"));
  info.pair = pair_tokens(*vocab());
  info.fim_pre_token = llama_vocab_fim_pre(vocab());
  info.fim_suf_token = llama_vocab_fim_suf(vocab());
  info.fim_mid_token = llama_vocab_fim_mid(vocab());
  return info;
}

int Model::n_vocab() const { return llama_vocab_n_tokens(vocab()); }

int Model::n_ctx_train() const { return llama_model_n_ctx_train(get()); }

bool Model::is_recurrent() const {
  return llama_model_is_recurrent(get()) || llama_model_is_hybrid(get());
}

int64_t Model::recurrent_state_bytes() const {
  if (!is_recurrent()) return 0;
  const llama_hparams& hparams = get()->hparams;
  int64_t n_layers = 0;
  for (uint32_t layer = 0; layer < hparams.n_layer(); ++layer) {
    n_layers += hparams.is_recr(layer) || llama_model_is_recurrent(get()) ? 1 : 0;
  }
  const int64_t n_values = int64_t{hparams.n_embd_r()} + hparams.n_embd_s();
  return n_layers * n_values * static_cast<int64_t>(sizeof(float));
}

int Model::n_swa() const { return llama_model_n_swa(get()); }

Pooling Model::pooling() const {
  switch (get()->hparams.pooling_type) {
    case LLAMA_POOLING_TYPE_CLS:
      return Pooling::kFirst;
    case LLAMA_POOLING_TYPE_LAST:
      return Pooling::kLast;
    case LLAMA_POOLING_TYPE_RANK:
      return ranked_pooling(*get());
    default:
      return Pooling::kMean;
  }
}

bool Model::is_ranker() const { return get()->hparams.pooling_type == LLAMA_POOLING_TYPE_RANK; }

bool Model::has_projections() const {
  return get()->dense_2_out_layers != nullptr || get()->dense_3_out_layers != nullptr;
}

int Model::n_embd_out() const { return llama_model_n_embd_out(get()); }

bool Model::is_bidirectional() const { return !get()->hparams.causal_attn; }

bool Model::is_eog(Token token) const { return llama_vocab_is_eog(vocab(), token); }

Token Model::bos() const {
  const llama_token token = llama_vocab_bos(vocab());
  return token == LLAMA_TOKEN_NULL ? -1 : token;
}

Token Model::eos() const {
  const llama_token token = llama_vocab_eos(vocab());
  return token == LLAMA_TOKEN_NULL ? -1 : token;
}

bool Model::adds_bos() const { return llama_vocab_get_add_bos(vocab()) && bos() >= 0; }

bool Model::adds_eos() const { return llama_vocab_get_add_eos(vocab()) && eos() >= 0; }

std::string Model::piece(Token token, bool special) const {
  special |= std::binary_search(shown_tokens_.begin(), shown_tokens_.end(), token);
  std::string buffer(64, '\0');
  int32_t n = llama_token_to_piece(vocab(), token, buffer.data(),
                                   static_cast<int32_t>(buffer.size()), 0, special);
  if (n < 0) {
    buffer.resize(-n);
    n = llama_token_to_piece(vocab(), token, buffer.data(), static_cast<int32_t>(buffer.size()), 0,
                             special);
  }
  buffer.resize(n < 0 ? 0 : n);
  return buffer;
}

std::vector<SpecialToken> Model::special_tokens() const {
  constexpr int kSpecial =
      LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_USER_DEFINED | LLAMA_TOKEN_ATTR_UNKNOWN;
  std::vector<SpecialToken> specials;
  for (Token token = 0; token < n_vocab(); ++token) {
    const int attr = llama_vocab_get_attr(vocab(), token);
    if ((attr & kSpecial) == 0) continue;
    specials.push_back({llama_vocab_get_text(vocab(), token), token,
                        (attr & LLAMA_TOKEN_ATTR_LSTRIP) != 0,
                        (attr & LLAMA_TOKEN_ATTR_RSTRIP) != 0});
  }
  return specials;
}

std::string Model::chat_template(const char* name) const {
  const char* source = llama_model_chat_template(get(), name);
  return source == nullptr ? "" : source;
}

}  // namespace pyserve
