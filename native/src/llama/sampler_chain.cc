#include "llama/sampler_chain.h"

#include <cmath>
#include <limits>
#include <random>

#include "llama.h"

namespace pyserve {
namespace {

// The vendor's seeds have 32 bits, and one value means "random".
uint32_t vendor_seed(std::optional<int64_t> seed) {
  if (!seed) return std::random_device{}();
  const auto bits = static_cast<uint64_t>(*seed);
  const auto folded = static_cast<uint32_t>(bits ^ (bits >> 32));
  return folded == LLAMA_DEFAULT_SEED ? 0 : folded;
}

std::vector<llama_logit_bias> all_biases(const Model& model, const SamplingParams& params) {
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  std::vector<llama_logit_bias> biases;
  for (const auto& [token, bias] : params.logit_bias) biases.push_back({token, bias});
  for (const Token token : model.suppressed_tokens()) biases.push_back({token, kNever});
  if (params.ignore_eos) {
    for (const Token token : model.eog_tokens()) biases.push_back({token, kNever});
  }
  return biases;
}

llama_sampler* repeat_sampler(const Model& model, const SamplingParams& params, TokenSpan prompt) {
  const int last_n =
      params.repeat_last_n < 0 ? llama_model_n_ctx_train(model.get()) : params.repeat_last_n;
  llama_sampler* sampler =
      llama_sampler_init_penalties(model.n_vocab(), last_n, params.repeat_penalty, 0.0F, 0.0F);
  const size_t n_skip = prompt.size() > static_cast<size_t>(last_n) ? prompt.size() - last_n : 0;
  for (const Token token : prompt.subspan(n_skip)) llama_sampler_accept(sampler, token);
  return sampler;
}

llama_sampler* answer_sampler(const Model& model, const SamplingParams& params) {
  return llama_sampler_init_penalties(model.n_vocab(), llama_model_n_ctx_train(model.get()), 1.0F,
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
  const std::vector<llama_logit_bias> biases = all_biases(model, params);
  const bool has_repeat = params.repeat_penalty != 1 && params.repeat_last_n != 0;
  const bool has_answer = params.frequency_penalty != 0 || params.presence_penalty != 0;
  is_plain_greedy_ = params.temperature <= 0 && biases.empty() && !has_repeat && !has_answer;
  if (is_plain_greedy_) return;
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
  if (best < 0 || is_plain_greedy_) return best;
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
