// One request's sampler: the vendored chain behind our parameters.
#pragma once

#include <memory>

#include "llama/model.h"
#include "pyserve/request.h"
#include "sample/logits.h"

struct llama_sampler;

namespace pyserve {

struct SamplerDeleter {
  void operator()(llama_sampler* sampler) const;
};

// The candidate array of a draw, kept between draws to save its allocation.
class SamplerScratch {
 public:
  SamplerScratch();
  ~SamplerScratch();
  SamplerScratch(const SamplerScratch&) = delete;
  SamplerScratch& operator=(const SamplerScratch&) = delete;

 private:
  friend class SamplerChain;
  struct Candidates;
  std::unique_ptr<Candidates> candidates_;
};

// Order: logit_bias, penalties, top_k, typical_p, top_p, min_p, temperature, draw (llama.cpp's
// own). Draws depend on the seed and the logits alone, never on what else is in the batch. Thread:
// engine thread only.
class SamplerChain {
 public:
  // `prompt` feeds the repeat penalty. Tokens in `params.logit_bias` must be in the vocabulary;
  // `params.ignore_eos` must be among the biases.
  SamplerChain(const Model& model, const SamplingParams& params, TokenSpan prompt);

  // Chooses the next token and remembers it. -1: the row holds no finite logit, or no token is
  // left to choose. `scratch` is overwritten and can be shared between requests.
  Token sample(LogitsRow logits, SamplerScratch& scratch);

 private:
  std::unique_ptr<llama_sampler, SamplerDeleter> chain_;
};

}  // namespace pyserve
