// The head of a model that ranks: from the pooled state of a text to a few numbers.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "pyserve/config.h"

struct llama_model;
struct llama_vocab;

namespace pyserve {

// One number says how well a text answers; several are the logits of labels.
//
//   state -> [dense -> bias -> tanh or GELU -> norm] -> [output -> bias]
//
// A file has the first part, the second one, or both.
// Immutable: any thread.
class RankHead {
 public:
  // The model must outlive it.
  explicit RankHead(const llama_model& model) : model_(model) {}

  // How many numbers; 0: the model has no such head.
  int n_out() const;
  // What they are the logits of, by the file; empty: not said.
  std::vector<std::string> labels() const;
  // REQUIRES: n_out() > 0, and a state of model.n_embd_out() numbers.
  std::vector<float> apply(std::span<const float> state) const;

 private:
  const llama_model& model_;
};

PairTokens pair_tokens(const llama_vocab& vocab);

}  // namespace pyserve
