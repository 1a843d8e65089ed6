// One request's sampler: the vendored samplers behind our parameters.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "llama/model/model.h"
#include "pyserve/request.h"
#include "sample/edits/dry.h"
#include "sample/edits/logit_edits.h"
#include "sample/row/scan.h"
#include "sample/sampler_order.h"

struct llama_sampler;

namespace pyserve {

struct SamplerDeleter {
  void operator()(llama_sampler* sampler) const;
};
using SamplerPtr = std::unique_ptr<llama_sampler, SamplerDeleter>;

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

// The vendored samplers but for DRY, without mirostat, which FusedSampler does. Biases first, then
// `params.samplers` in order, then the draw. Between two samplers candidates of probability zero
// are taken out, which the vendored code is not made for: it asserts or computes NaN. Draws depend
// on the seed and the logits alone, never on what else is in the batch. Thread: one at a time.
class SamplerChain {
 public:
  // `params` are normalized; tokens in their logit_bias must be in the vocabulary, ignore_eos must
  // be among the biases. `prompt` feeds the repeat penalty. `dry` is what DRY means for `params`.
  SamplerChain(const Model& model, const SamplingParams& params, TokenSpan prompt,
               std::optional<DryPenalty> dry);

  // Draws the next token. -1: the row holds NaN or infinity, or no token is left to choose. `row`
  // is edited in between and restored; the others are overwritten.
  Token draw(std::span<float> row, SamplerScratch& scratch, RowScratch& row_scratch);
  // Remembers the next token.
  void accept(Token token);

 private:
  struct Step {
    SamplerKind kind;
    SamplerPtr sampler;             // of all kinds but DRY
    std::optional<DryPenalty> dry;  // ours: the vendored one searches the vocabulary every time
  };

  // How many of `kinds` are done on the row.
  size_t take_first(const Model& model, const SamplingParams& params, TokenSpan prompt,
                    const std::optional<DryPenalty>& dry, std::span<const SamplerKind> kinds);
  void add(SamplerKind kind, llama_sampler* sampler);
  void add_penalties(const Model& model, const SamplingParams& params, TokenSpan prompt);
  void add_filter(SamplerKind kind, const SamplingParams& params, uint32_t seed);

  // What the order begins with is done on the row itself, which is much faster: the biases, then
  // penalties and DRY, then top_k.
  std::optional<LogitEdits> edits_;
  size_t n_best_ = 0;  // of top_k; 0 = none
  std::vector<Step> steps_;
  SamplerPtr draw_;
};

}  // namespace pyserve
