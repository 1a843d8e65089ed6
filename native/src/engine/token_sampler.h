// The sampler of one request: the fused one, or the vendored chain for what the fused one leaves
// out.
#pragma once

#include <memory>
#include <span>
#include <variant>

#include "llama/model.h"
#include "llama/sampler_chain.h"
#include "pyserve/request.h"
#include "sample/fused_sampler.h"

namespace pyserve {

// Buffers of one draw, shared by all requests that one thread samples.
struct SampleScratch {
  RowScratch row;
  SamplerScratch chain;
};

// Thread: one at a time. Different requests can be sampled on different threads at once, each
// thread with a scratch of its own: nothing else that changes is shared.
class TokenSampler {
 public:
  // `breakers` are those of DryBreakerCache; null without DRY.
  TokenSampler(const Model& model, const SamplingParams& params, TokenSpan prompt,
               std::shared_ptr<const DryBreakers> breakers);

  // Chooses and remembers the next token; see FusedSampler::sample.
  FusedSampler::Choice sample(std::span<float> row, int n_logprobs, SampleScratch& scratch);

 private:
  std::variant<FusedSampler, SamplerChain> sampler_;
};

}  // namespace pyserve
