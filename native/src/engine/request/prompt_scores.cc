#include "engine/request/prompt_scores.h"

#include <algorithm>

namespace pyserve {

TokenLogprob to_logprob(const Model& model, Token token, const RowLogprobs& logprobs) {
  TokenLogprob out{token, model.piece(token, true), logprobs.sampled, {}};
  for (const RankedToken& ranked : logprobs.top) {
    out.top.push_back({ranked.token, model.piece(ranked.token, true), ranked.logprob});
  }
  return out;
}

PromptScores::PromptScores(const Model& model, int n_prompt, int n_top)
    : model_(model), n_to_score_(n_top < 0 ? 0 : n_prompt), n_top_(n_top) {}

int PromptScores::n_spared() const { return std::max(n_scored_ - 1, 0); }

bool PromptScores::take(TokenSpan tokens, int n_computed, int n_rows, const LogitRows& rows,
                        SampleScratch& scratch, std::vector<TokenLogprob>& out) {
  const RowKernels& kernels = row_kernels();
  if (n_scored_ == 0) {
    out.push_back({tokens[0], model_.piece(tokens[0], true), 0, {}});
    n_scored_ = 1;
  }
  const int first = n_computed - n_rows + 1;
  for (; n_scored_ < std::min(n_computed + 1, n_to_score_); ++n_scored_) {
    const std::span<const float> row = rows(n_scored_ - first);
    if (!scan_maxima(kernels, row, scratch.row)) return false;
    const Token token = tokens[n_scored_];
    out.push_back(
        to_logprob(model_, token, row_logprobs(kernels, row, token, n_top_, scratch.row)));
  }
  return true;
}

}  // namespace pyserve
