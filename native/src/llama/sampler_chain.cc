#include "llama/sampler_chain.h"

#include <cmath>

#include "llama.h"
#include "sample/fused_sampler.h"

namespace pyserve {
namespace {

// The vendor's own name for "a random seed" must not be met by folding.
uint32_t vendor_seed(std::optional<int64_t> seed) {
  const uint32_t folded = fold_seed(seed);
  return folded == LLAMA_DEFAULT_SEED ? 0 : folded;
}

llama_sampler* repeat_sampler(const Model& model, const SamplingParams& params, TokenSpan prompt) {
  const int last_n = params.repeat_last_n < 0 ? model.n_ctx_train() : params.repeat_last_n;
  llama_sampler* sampler =
      llama_sampler_init_penalties(model.n_vocab(), last_n, params.repeat_penalty, 0.0F, 0.0F);
  const size_t n_skip = prompt.size() > static_cast<size_t>(last_n) ? prompt.size() - last_n : 0;
  for (const Token token : prompt.subspan(n_skip)) llama_sampler_accept(sampler, token);
  return sampler;
}

llama_sampler* answer_sampler(const Model& model, const SamplingParams& params) {
  return llama_sampler_init_penalties(model.n_vocab(), model.n_ctx_train(), 1.0F,
                                      params.frequency_penalty, params.presence_penalty);
}

void add_draw(llama_sampler* chain, const SamplingParams& params) {
  if (params.temperature <= 0) {
    llama_sampler_chain_add(chain, llama_sampler_init_greedy());
    return;
  }
  if (params.top_k > 0) llama_sampler_chain_add(chain, llama_sampler_init_top_k(params.top_k));
  if (params.typical_p < 1) {
    llama_sampler_chain_add(chain, llama_sampler_init_typical(params.typical_p, 1));
  }
  if (params.top_p < 1) llama_sampler_chain_add(chain, llama_sampler_init_top_p(params.top_p, 1));
  if (params.min_p > 0) llama_sampler_chain_add(chain, llama_sampler_init_min_p(params.min_p, 1));
  llama_sampler_chain_add(chain, llama_sampler_init_temp(params.temperature));
  llama_sampler_chain_add(chain, llama_sampler_init_dist(vendor_seed(params.seed)));
}

}  // namespace

struct SamplerScratch::Candidates {
  std::vector<llama_token_data> data;
};

SamplerScratch::SamplerScratch() : candidates_(std::make_unique<Candidates>()) {}
SamplerScratch::~SamplerScratch() = default;

void SamplerDeleter::operator()(llama_sampler* sampler) const { llama_sampler_free(sampler); }

SamplerChain::SamplerChain(const Model& model, const SamplingParams& params, TokenSpan prompt)
    : chain_(llama_sampler_chain_init(llama_sampler_chain_default_params())) {
  std::vector<llama_logit_bias> biases;
  for (const auto& [token, bias] : params.logit_bias) biases.push_back({token, bias});
  const bool has_repeat = params.repeat_penalty != 1 && params.repeat_last_n != 0;
  const bool has_answer = params.frequency_penalty != 0 || params.presence_penalty != 0;
  if (!biases.empty()) {
    llama_sampler_chain_add(
        chain_.get(), llama_sampler_init_logit_bias(
                          model.n_vocab(), static_cast<int32_t>(biases.size()), biases.data()));
  }
  if (has_repeat) llama_sampler_chain_add(chain_.get(), repeat_sampler(model, params, prompt));
  if (has_answer) llama_sampler_chain_add(chain_.get(), answer_sampler(model, params));
  add_draw(chain_.get(), params);
}

Token SamplerChain::sample(LogitsRow logits, SamplerScratch& scratch) {
  const Token best = argmax(logits);
  if (best < 0) return best;
  std::vector<llama_token_data>& data = scratch.candidates_->data;
  data.resize(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    data[i] = {static_cast<llama_token>(i), logits[i], 0.0F};
  }
  llama_token_data_array candidates{data.data(), data.size(), -1, false};
  llama_sampler_apply(chain_.get(), &candidates);
  if (candidates.selected < 0 || candidates.selected >= static_cast<int64_t>(candidates.size)) {
    return -1;
  }
  const llama_token_data& chosen = candidates.data[candidates.selected];
  if (std::isinf(chosen.logit)) return -1;  // every token was banned
  llama_sampler_accept(chain_.get(), chosen.id);
  return chosen.id;
}

}  // namespace pyserve
