#include "llama/sampler_chain.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "llama.h"
#include "sample/fused_sampler.h"

namespace pyserve {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
constexpr float kNegligible = 80.0F;  // logits so far below the best have a probability below 1e-34

// The vendor's own name for "a random seed" must not be met by folding.
uint32_t vendor_seed(std::optional<int64_t> seed) {
  const uint32_t folded = fold_seed(seed);
  return folded == LLAMA_DEFAULT_SEED ? 0 : folded;
}

// Vendored windows are allocated whole.
int window(const Model& model, int last_n) {
  return last_n < 0 ? model.n_ctx_train() : std::min(last_n, model.n_ctx_train());
}

void accept_tail(llama_sampler* sampler, TokenSpan prompt, int n_window) {
  const auto n = std::min(prompt.size(), static_cast<size_t>(n_window));
  for (const Token token : prompt.last(n)) llama_sampler_accept(sampler, token);
}

llama_sampler* make_draw(const SamplingParams& params, uint32_t seed) {
  if (params.adaptive_target >= 0) {
    return llama_sampler_init_adaptive_p(params.adaptive_target, params.adaptive_decay, seed);
  }
  return llama_sampler_init_dist(seed);
}

// Takes out candidates with a logit of -infinity. False when none is left, or one is no number.
bool keep_possible(llama_token_data_array& candidates) {
  size_t n_kept = 0;
  bool is_number = true;
  for (size_t i = 0; i < candidates.size; ++i) {
    const float logit = candidates.data[i].logit;
    if (logit == kMinusInfinity) continue;
    is_number &= std::isfinite(logit);
    candidates.data[n_kept++] = candidates.data[i];
  }
  candidates.size = n_kept;
  return is_number && n_kept > 0;
}

float best_logit(const llama_token_data_array& candidates) {
  float best = kMinusInfinity;
  for (size_t i = 0; i < candidates.size; ++i) best = std::max(best, candidates.data[i].logit);
  return best;
}

void subtract(const std::unordered_map<Token, float>& penalties,
              llama_token_data_array& candidates) {
  if (penalties.empty()) return;
  for (size_t i = 0; i < candidates.size; ++i) {
    const auto penalty = penalties.find(candidates.data[i].id);
    if (penalty != penalties.end()) candidates.data[i].logit -= penalty->second;
  }
  candidates.sorted = false;
}

// Probabilities that underflow to zero become NaN in -p log p.
void drop_negligible(llama_token_data_array& candidates) {
  const float limit = best_logit(candidates) - kNegligible;
  const auto* end = std::remove_if(candidates.data, candidates.data + candidates.size,
                                   [&](const llama_token_data& c) { return c.logit < limit; });
  candidates.size = static_cast<size_t>(end - candidates.data);
}

// A division by a small temperature must not reach +infinity.
void make_best_zero(llama_token_data_array& candidates) {
  const float best = best_logit(candidates);
  for (size_t i = 0; i < candidates.size; ++i) candidates.data[i].logit -= best;
}

}  // namespace

struct SamplerScratch::Candidates {
  std::vector<llama_token_data> data;

  llama_token_data_array fill(LogitsRow row) {
    data.resize(row.size());
    for (size_t i = 0; i < row.size(); ++i) data[i] = {static_cast<llama_token>(i), row[i], 0.0F};
    return {data.data(), data.size(), -1, false};
  }

  llama_token_data_array fill_sorted(std::span<const RankedToken> ranked) {
    data.clear();
    for (const RankedToken& token : ranked) data.push_back({token.token, token.logprob, 0.0F});
    return {data.data(), data.size(), -1, true};
  }
};

SamplerScratch::SamplerScratch() : candidates_(std::make_unique<Candidates>()) {}
SamplerScratch::~SamplerScratch() = default;

void SamplerDeleter::operator()(llama_sampler* sampler) const { llama_sampler_free(sampler); }

SamplerChain::SamplerChain(const Model& model, const SamplingParams& params, TokenSpan prompt,
                           std::optional<DryPenalty> dry) {
  const uint32_t seed = vendor_seed(params.seed);
  const std::vector<SamplerKind> kinds = active_samplers(params);
  const size_t n_taken = take_first(model, params, prompt, dry, kinds);
  for (const SamplerKind kind : std::span(kinds).subspan(n_taken)) {
    if (kind == SamplerKind::kPenalties) {
      add_penalties(model, params, prompt);
    } else if (kind == SamplerKind::kDry) {
      steps_.push_back({kind, nullptr, dry});
    } else {
      add_filter(kind, params, seed);
    }
  }
  draw_.reset(make_draw(params, seed));
}

size_t SamplerChain::take_first(const Model& model, const SamplingParams& params, TokenSpan prompt,
                                const std::optional<DryPenalty>& dry,
                                std::span<const SamplerKind> kinds) {
  size_t n_taken = 0;
  const auto take = [&](SamplerKind kind) {
    const bool is_next = n_taken < kinds.size() && kinds[n_taken] == kind;
    n_taken += is_next ? 1 : 0;
    return is_next;
  };
  const SamplingParams penalties = take(SamplerKind::kPenalties) ? params : SamplingParams{};
  const bool has_dry = take(SamplerKind::kDry);
  edits_.emplace(params.logit_bias, penalties, window(model, penalties.repeat_last_n), prompt,
                 has_dry ? dry : std::nullopt);
  if (take(SamplerKind::kTopK)) n_best_ = static_cast<size_t>(params.top_k);
  return n_taken;
}

void SamplerChain::add(SamplerKind kind, llama_sampler* sampler) {
  steps_.push_back({kind, SamplerPtr(sampler), std::nullopt});
}

// The repeat penalty looks at prompt and answer, the other two at the answer alone.
void SamplerChain::add_penalties(const Model& model, const SamplingParams& params,
                                 TokenSpan prompt) {
  if (params.repeat_penalty != 1 && params.repeat_last_n != 0) {
    const int last_n = window(model, params.repeat_last_n);
    add(SamplerKind::kPenalties,
        llama_sampler_init_penalties(model.n_vocab(), last_n, params.repeat_penalty, 0.0F, 0.0F));
    accept_tail(steps_.back().sampler.get(), prompt, last_n);
  }
  if (params.frequency_penalty != 0 || params.presence_penalty != 0) {
    add(SamplerKind::kPenalties,
        llama_sampler_init_penalties(model.n_vocab(), model.n_ctx_train(), 1.0F,
                                     params.frequency_penalty, params.presence_penalty));
  }
}

void SamplerChain::add_filter(SamplerKind kind, const SamplingParams& p, uint32_t seed) {
  const auto min_keep = static_cast<size_t>(std::max(p.min_keep, 0));
  switch (kind) {
    case SamplerKind::kTopNSigma:
      return add(kind, llama_sampler_init_top_n_sigma(p.top_n_sigma));
    case SamplerKind::kTopK:
      return add(kind, llama_sampler_init_top_k(p.top_k));
    case SamplerKind::kTypicalP:
      return add(kind, llama_sampler_init_typical(p.typical_p, min_keep));
    case SamplerKind::kTopP:
      return add(kind, llama_sampler_init_top_p(p.top_p, min_keep));
    case SamplerKind::kMinP:
      return add(kind, llama_sampler_init_min_p(p.min_p, min_keep));
    case SamplerKind::kXtc:
      return add(kind, llama_sampler_init_xtc(p.xtc_probability, p.xtc_threshold, min_keep, seed));
    case SamplerKind::kTemperature:
      return add(kind,
                 llama_sampler_init_temp_ext(p.temperature, p.dynatemp_range, p.dynatemp_exponent));
    default:  // penalties and DRY have parts of their own, adaptive_p is the draw
      return;
  }
}

Token SamplerChain::draw(std::span<float> row, SamplerScratch& scratch, RowScratch& row_scratch) {
  const RowKernels& kernels = row_kernels();
  edits_->apply(row);
  const bool can_use = scan_maxima(kernels, row, row_scratch);
  llama_token_data_array candidates{};
  if (can_use && n_best_ > 0 && n_best_ < row.size()) {
    collect_best(kernels, row, n_best_, row_scratch);
    candidates = scratch.candidates_->fill_sorted(row_scratch.ranked);
  } else if (can_use) {
    candidates = scratch.candidates_->fill(row);
  }
  edits_->undo(row);
  if (!can_use || !keep_possible(candidates)) return -1;
  for (Step& step : steps_) {
    if (step.kind == SamplerKind::kTemperature) make_best_zero(candidates);
    if (step.kind == SamplerKind::kTypicalP) drop_negligible(candidates);
    if (step.dry) {
      subtract(step.dry->penalties(), candidates);
    } else {
      llama_sampler_apply(step.sampler.get(), &candidates);
    }
    if (!keep_possible(candidates)) return -1;
  }
  drop_negligible(candidates);
  llama_sampler_apply(draw_.get(), &candidates);
  if (candidates.selected < 0 || candidates.selected >= static_cast<int64_t>(candidates.size)) {
    return -1;
  }
  return candidates.data[candidates.selected].id;
}

void SamplerChain::accept(Token chosen) {
  for (Step& step : steps_) {
    if (step.dry) {
      step.dry->accept(chosen);
    } else {
      llama_sampler_accept(step.sampler.get(), chosen);
    }
  }
  llama_sampler_accept(draw_.get(), chosen);
  edits_->accept(chosen);
}

}  // namespace pyserve
