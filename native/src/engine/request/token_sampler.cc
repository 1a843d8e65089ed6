#include "engine/request/token_sampler.h"

#include <limits>
#include <utility>
#include <vector>

#include "llama/tokenizer.h"
#include "sample/row/scan.h"
#include "sample/sampler_order.h"
#include "text/utf8.h"

namespace pyserve {
namespace {

// The vendored tokenizer recurses per byte: this many fit any stack.
constexpr size_t kMaxForcedBytes = 256;

// What the request asks for, and what the model must never say.
SamplingParams with_all_biases(const Model& model, SamplingParams params) {
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  for (const Token token : model.suppressed_tokens()) params.logit_bias.emplace_back(token, kNever);
  if (params.ignore_eos) {
    for (const Token token : model.eog_tokens()) params.logit_bias.emplace_back(token, kNever);
  }
  return params;
}

// The window of a penalty; -1 means the whole context.
int window(const Model& model, int last_n) { return last_n < 0 ? model.n_ctx_train() : last_n; }

std::variant<FusedSampler, SamplerChain> make_sampler(const Model& model,
                                                      const SamplingParams& params,
                                                      TokenSpan prompt,
                                                      std::shared_ptr<const DryBreakers> breakers) {
  std::optional<DryPenalty> dry;
  if (params.dry_multiplier > 0) {
    dry.emplace(params, window(model, params.dry_penalty_last_n), std::move(breakers), prompt);
  }
  if (!FusedSampler::can_sample(params)) {
    return SamplerChain(model, params, prompt, std::move(dry));
  }
  LogitEdits edits(params.logit_bias, params, window(model, params.repeat_last_n), prompt,
                   std::move(dry));
  return FusedSampler(params, std::move(edits), fold_seed(params.seed));
}

// A token that was chosen, with the log-probabilities of the row as the model gave it.
FusedSampler::Choice scored(Token token, std::span<const float> row, int n_logprobs,
                            RowScratch& scratch) {
  FusedSampler::Choice choice;
  choice.token = token;
  if (n_logprobs < 0) return choice;
  const RowKernels& kernels = row_kernels();
  if (!scan_maxima(kernels, row, scratch)) return {};
  choice.logprobs = row_logprobs(kernels, row, token, n_logprobs, scratch);
  return choice;
}

}  // namespace

TokenSampler::TokenSampler(const Model& model, const SamplingParams& params, TokenSpan prompt,
                           std::shared_ptr<const DryBreakers> breakers,
                           std::optional<GrammarMatcher> grammar, TokenBans bans)
    : model_(model),
      has_biases_(!params.logit_bias.empty() || bans.has_lasting()),
      sampler_(make_sampler(model, with_all_biases(model, normalized(params)), prompt,
                            std::move(breakers))),
      grammar_(std::move(grammar)),
      bans_(std::move(bans)) {}

FusedSampler::Choice TokenSampler::sample(std::span<float> row, int n_logprobs,
                                          SampleScratch& scratch) {
  FusedSampler::Choice choice = choose(row, n_logprobs, scratch);
  if (choice.token < 0) return choice;
  if (grammar_) grammar_->accept(choice.token);
  bans_.accept(choice.token);
  return choice;
}

std::vector<Token> TokenSampler::forced_tokens() {
  if (!grammar_ || has_biases_) return {};
  const std::string text = grammar_->forced_text(kMaxForcedBytes);
  // Where a character is cut the tokenizer would see another one.
  if (text.size() < 2 || sanitize_utf8(text) != text) return {};
  // What is said as a control token here has a text, or the grammar refuses it.
  std::vector<Token> tokens = tokenize(model_, text, false, true);
  if (!grammar_->is_complete_after(text)) tokens.pop_back();
  return tokens;
}

bool TokenSampler::accept(Token token) {
  if (grammar_ && !grammar_->allows(token)) return false;
  if (auto* fused = std::get_if<FusedSampler>(&sampler_)) {
    fused->accept(token);
  } else {
    std::get<SamplerChain>(sampler_).accept(token);
  }
  if (grammar_) grammar_->accept(token);
  bans_.accept(token);
  return true;
}

void TokenSampler::repeat(Token token) {
  if (accept(token)) {
    if (auto* fused = std::get_if<FusedSampler>(&sampler_)) fused->skip_draw();
  }
}

FusedSampler::Choice TokenSampler::choose(std::span<float> row, int n_logprobs,
                                          SampleScratch& scratch) {
  if (bans_.is_idle()) return choose_from(row, n_logprobs, scratch);
  scratch.allowed_row.assign(row.begin(), row.end());
  bans_.mask(scratch.allowed_row);
  const Token token = choose_from(scratch.allowed_row, -1, scratch).token;
  return token < 0 ? FusedSampler::Choice{} : scored(token, row, n_logprobs, scratch.row);
}

FusedSampler::Choice TokenSampler::choose_from(std::span<float> row, int n_logprobs,
                                               SampleScratch& scratch) {
  if (auto* fused = std::get_if<FusedSampler>(&sampler_)) {
    return fused->sample(row, n_logprobs, scratch.row, grammar_ ? &*grammar_ : nullptr);
  }
  const Token token = choose_by_chain(row, scratch);
  return token < 0 ? FusedSampler::Choice{} : scored(token, row, n_logprobs, scratch.row);
}

Token TokenSampler::choose_by_chain(std::span<float> row, SampleScratch& scratch) {
  auto& chain = std::get<SamplerChain>(sampler_);
  Token token = chain.draw(row, scratch.chain, scratch.row);
  if (grammar_ && token >= 0 && !grammar_->allows(token)) {
    scratch.masked_row.assign(row.begin(), row.end());
    grammar_->mask(scratch.masked_row);
    token = chain.draw(scratch.masked_row, scratch.chain, scratch.row);
  }
  if (token >= 0) chain.accept(token);
  return token;
}

}  // namespace pyserve
