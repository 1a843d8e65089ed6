// Log-probabilities of a prompt's tokens (`n_prompt_logprobs`), as steps compute their logits.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "engine/request/token_sampler.h"
#include "llama/model/model.h"
#include "pyserve/request.h"
#include "sample/row/scan.h"

namespace pyserve {

// Logits of the k-th of the tokens that a step has computed with logits.
using LogitRows = std::function<std::span<float>(int)>;

// A token and its alternatives with their texts.
TokenLogprob to_logprob(const Model& model, Token token, const RowLogprobs& logprobs);

// Thread: engine thread only; those of different requests may be in use in parallel.
class PromptScores {
 public:
  // n_top: alternatives of each token; < 0: nothing is scored. The model must outlive it.
  PromptScores(const Model& model, int n_prompt, int n_top);

  // Some tokens still have to be scored.
  bool is_open() const { return n_scored_ < n_to_score_; }
  // How many leading tokens another computation may provide: the row before a token scores it.
  int n_spared() const;

  // A step has computed the last `n_rows` of the first `n_computed` of `tokens`; the row of a token
  // is about the next. Adds what they say of the prompt to `out`; false: a row is unusable.
  bool take(TokenSpan tokens, int n_computed, int n_rows, const LogitRows& rows,
            SampleScratch& scratch, std::vector<TokenLogprob>& out);

 private:
  const Model& model_;
  const int n_to_score_;
  const int n_top_;
  int n_scored_ = 0;
};

}  // namespace pyserve
