// From a row of logits to a token, in one or two passes over the vocabulary.
#pragma once

#include <optional>
#include <random>
#include <span>

#include "grammar/matcher.h"
#include "pyserve/request.h"
#include "sample/edits/logit_edits.h"
#include "sample/mirostat.h"
#include "sample/row/kernels.h"
#include "sample/row/logits.h"
#include "sample/row/scan.h"

namespace pyserve {

// bias, penalties, DRY, top_k, top_p, min_p, temperature, draw: llama.cpp's order, exact but for
// ties. Or with mirostat: bias, penalties, DRY, temperature, mirostat. After the edits every filter
// keeps a prefix of the tokens sorted by logit, so only the few tokens above a threshold are ever
// sorted: with k blocks of the row having a maximum >= t, the k best tokens are all >= t. Draws
// depend on the seed and the row alone. Thread: one at a time.
class FusedSampler {
 public:
  // Everything but the samplers that are not named above, in this order alone.
  // REQUIRES: normalized parameters.
  static bool can_sample(const SamplingParams& params);

  // REQUIRES: normalized parameters that can_sample().
  FusedSampler(const SamplingParams& params, LogitEdits edits, uint32_t seed,
               const RowKernels& kernels = row_kernels());

  struct Choice {
    Token token = -1;      // -1: NaN or infinity in the row, or every token is banned
    RowLogprobs logprobs;  // of the row as the model gave it; empty unless asked for
  };

  // Chooses the next token and remembers it. `row` is edited in between and restored.
  // n_logprobs < 0: none. A token that `grammar` does not allow is drawn again among those that it
  // allows; the caller tells the grammar what was chosen.
  Choice sample(std::span<float> row, int n_logprobs, RowScratch& scratch,
                GrammarMatcher* grammar = nullptr);
  // Remembers a token that was not drawn.
  void accept(Token token) { edits_.accept(token); }
  // Goes on as if a token had been drawn.
  void skip_draw();

 private:
  struct Drawn {
    Token token;
    double probability;  // among scratch.ranked
  };

  bool refresh_blocks(std::span<const float> row, std::span<const Token> edited,
                      RowScratch& scratch) const;
  Token draw(std::span<const float> row, RowScratch& scratch);
  Token draw_allowed(std::span<float> row, GrammarMatcher& grammar, RowScratch& scratch);
  Token draw_from_all(std::span<const float> row, float max, RowScratch& scratch);
  Drawn draw_from_ranked(float max, RowScratch& scratch);
  void keep_top_k(std::span<const float> row, RowScratch& scratch) const;
  void cut_min_p(float max, RowScratch& scratch) const;

  const SamplingParams params_;
  LogitEdits edits_;
  std::optional<Mirostat> mirostat_;
  std::mt19937 random_;
  const RowKernels& kernels_;
};

// The seed as the vendored samplers take it: 32 bits; a random one when there is none.
uint32_t fold_seed(std::optional<int64_t> seed);

}  // namespace pyserve
