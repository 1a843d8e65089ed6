// The sampler of one request: the fused one, or the vendored chain for what the fused one leaves
// out.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "grammar/matcher.h"
#include "llama/model/model.h"
#include "llama/sampler_chain.h"
#include "pyserve/request.h"
#include "sample/fused_sampler.h"
#include "sample/token_bans.h"

namespace pyserve {

// Buffers of one draw, shared by all requests that one thread samples.
struct SampleScratch {
  RowScratch row;
  SamplerScratch chain;
  std::vector<float> masked_row;   // what the grammar allows
  std::vector<float> allowed_row;  // what is not banned
};

// Thread: one at a time. Different requests can be sampled on different threads at once, each
// thread with a scratch of its own: nothing else that changes is shared.
class TokenSampler {
 public:
  // `breakers` are those of DryBreakerCache; null without DRY. All tokens obey `grammar` and, where
  // they are sampled, `bans`.
  TokenSampler(const Model& model, const SamplingParams& params, TokenSpan prompt,
               std::shared_ptr<const DryBreakers> breakers, std::optional<GrammarMatcher> grammar,
               TokenBans bans);

  // Chooses and remembers the next token; see FusedSampler::sample.
  FusedSampler::Choice sample(std::span<float> row, int n_logprobs, SampleScratch& scratch);

  // The tokens that the grammar leaves no choice about, as the model's own tokenizer has them; the
  // last one is left to the model, which may know a longer one, unless the answer ends with it.
  // None without a grammar, and where biases could ban one of them.
  std::vector<Token> forced_tokens();
  // Remembers a token that was not sampled; false when the grammar does not allow it.
  bool accept(Token token);

  // Remembers a token that an earlier sampler of the same request drew, and goes on where that one
  // was: exactly so without a grammar, mirostat and the samplers of the vendored chain.
  void repeat(Token token);

  // Null without a grammar.
  const GrammarMatcher* grammar() const { return grammar_ ? &*grammar_ : nullptr; }
  // The answer may end here, as far as the grammar is concerned.
  bool can_end() const { return !grammar_ || grammar_->can_end(); }
  // Tokens are banned now.
  bool has_bans() const { return !bans_.is_idle(); }

 private:
  FusedSampler::Choice choose(std::span<float> row, int n_logprobs, SampleScratch& scratch);
  FusedSampler::Choice choose_from(std::span<float> row, int n_logprobs, SampleScratch& scratch);
  Token choose_by_chain(std::span<float> row, SampleScratch& scratch);

  const Model& model_;
  const bool has_biases_;
  std::variant<FusedSampler, SamplerChain> sampler_;
  std::optional<GrammarMatcher> grammar_;
  TokenBans bans_;
};

}  // namespace pyserve
