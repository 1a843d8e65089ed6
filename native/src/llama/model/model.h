// A loaded GGUF model: weights, vocabulary, metadata.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/matmul/panels.h"
#include "llama/cutting/text_cutter.h"
#include "llama/model/adapter.h"
#include "llama/model/rank_head.h"
#include "pyserve/config.h"
#include "pyserve/types.h"
#include "text/special_split.h"

struct llama_model;
struct llama_vocab;

namespace pyserve {

struct ModelDeleter {
  void operator()(llama_model* model) const;
};

// How the states of a prompt's tokens become one.
enum class Pooling { kMean, kFirst, kLast, kNone };

// What a file is loaded for: to generate texts, the same with the head that it may have in it, or
// as a head of another model.
enum class ModelUse { kText, kTextAndHead, kHead };

// Immutable after construction: any thread.
class Model {
 public:
  // With its adapters. Throws EngineError(kModelLoad) with the loader's own last error line.
  explicit Model(const EngineConfig& config, ModelUse use = ModelUse::kText);

  llama_model* get() const { return model_.get(); }
  const llama_vocab* vocab() const;

  // What is known without a context: n_ctx, n_seq_max and n_threads are left out.
  ModelInfo info() const;
  int n_vocab() const;
  int n_ctx_train() const;
  // Keeps one state per sequence instead of, or beside, one cell per token.
  bool is_recurrent() const;
  // Bytes of such a state; 0 = none.
  int64_t recurrent_state_bytes() const;
  // Size of the sliding attention window in tokens; 0 = none.
  int n_swa() const;

  // As the GGUF says; kMean where it says nothing, kNone where it ranks but has no head for that.
  Pooling pooling() const;
  // The file is of a model that ranks, which has no embeddings.
  bool is_ranker() const;
  RankHead rank_head() const { return RankHead(*get()); }
  // What is pooled is the states after projections of their own.
  bool has_projections() const;
  // Numbers in the state of a token.
  int n_embd_out() const;
  // A token sees those after it, too: a prompt cannot be computed in parts.
  bool is_bidirectional() const;

  bool is_eog(Token token) const;
  // Every token that ends generation, and every token the model must never produce.
  const std::vector<Token>& eog_tokens() const { return eog_tokens_; }
  const std::vector<Token>& suppressed_tokens() const { return suppressed_tokens_; }
  Token bos() const;  // -1 = none
  Token eos() const;  // -1 = none
  bool adds_bos() const;
  bool adds_eos() const;
  // No token stands for more bytes of a text than this; 0 = unknown, for vocabularies that drop
  // some.
  size_t longest_piece_bytes() const { return longest_piece_bytes_; }
  // The bytes of `token`, "" for control tokens that are not shown, unless `special`.
  std::string piece(Token token, bool special = false) const;
  std::vector<SpecialToken> special_tokens() const;
  const TextCutter& text_cutter() const { return *text_cutter_; }
  // The GGUF's chat template, or the one of that name; "" = none.
  std::string chat_template(const char* name = nullptr) const;

  // In the order of EngineConfig::adapter_paths.
  const std::vector<Adapter>& adapters() const { return adapters_; }

 private:
  std::unique_ptr<llama_model, ModelDeleter> model_;
  Panels panels_;
  std::vector<Adapter> adapters_;
  std::vector<Token> eog_tokens_;
  std::vector<Token> suppressed_tokens_;
  std::vector<Token> shown_tokens_;  // sorted
  size_t longest_piece_bytes_ = 0;
  std::unique_ptr<TextCutter> text_cutter_;
};

}  // namespace pyserve
