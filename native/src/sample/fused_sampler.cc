#include "sample/fused_sampler.h"

#include <algorithm>
#include <cmath>
#include <string_view>

namespace pyserve {
namespace {

constexpr std::string_view kOrder = "edkpmt";  // letters of SamplingParams::samplers

Token first_with_logit(std::span<const float> row, float max, const RowScratch& scratch) {
  const auto block = std::find(scratch.max.begin(), scratch.max.end(), max);
  const auto begin = row.begin() + (block - scratch.max.begin()) * static_cast<long>(kBlock);
  return static_cast<Token>(std::find(begin, row.end(), max) - row.begin());
}

}  // namespace

uint32_t fold_seed(std::optional<int64_t> seed) {
  if (!seed) return std::random_device{}();
  const auto bits = static_cast<uint64_t>(*seed);
  return static_cast<uint32_t>(bits ^ (bits >> 32));
}

bool FusedSampler::can_sample(const SamplingParams& params) {
  size_t i = 0;
  for (const char letter : params.samplers) {
    i = kOrder.find(letter, i);
    if (i++ == kOrder.npos) return false;
  }
  const bool can_keep_less = params.top_p < 1 || params.min_p > 0;
  return params.dynatemp_range <= 0 && (params.min_keep <= 1 || !can_keep_less);
}

FusedSampler::FusedSampler(const SamplingParams& params, LogitEdits edits, uint32_t seed,
                           const RowKernels& kernels)
    : params_(params), edits_(std::move(edits)), random_(seed), kernels_(kernels) {
  if (params.mirostat != 0) mirostat_.emplace(params);
}

FusedSampler::Choice FusedSampler::sample(std::span<float> row, int n_logprobs, RowScratch& scratch,
                                          GrammarMatcher* grammar) {
  // 1. The row as the model gave it.
  if (!scan_maxima(kernels_, row, scratch)) return {};
  Choice choice;
  double log_sum = 0;
  if (n_logprobs >= 0) {
    log_sum = best_logprobs(kernels_, row, n_logprobs, scratch, choice.logprobs.top);
  }
  // 2. The row as the request wants it.
  const std::span<const Token> edited = edits_.apply(row);
  if (refresh_blocks(row, edited, scratch)) choice.token = draw(row, scratch);
  if (grammar != nullptr && choice.token >= 0 && !grammar->allows(choice.token)) {
    choice.token = draw_allowed(row, *grammar, scratch);
  }
  edits_.undo(row);
  if (choice.token < 0) return {};
  edits_.accept(choice.token);
  if (n_logprobs >= 0) choice.logprobs.sampled = finite_logprob(row[choice.token] - log_sum);
  return choice;
}

// Block maxima after the edits; false when an edit made a NaN.
bool FusedSampler::refresh_blocks(std::span<const float> row, std::span<const Token> edited,
                                  RowScratch& scratch) const {
  bool is_number = true;
  for (const Token token : edited) {
    const size_t b = static_cast<size_t>(token) / kBlock;
    const size_t begin = b * kBlock;
    const size_t n = std::min(kBlock, row.size() - begin);
    is_number &= kernels_.block_max(row.data() + begin, n, &scratch.max[b]);
  }
  return is_number;
}

Token FusedSampler::draw_allowed(std::span<float> row, GrammarMatcher& grammar,
                                 RowScratch& scratch) {
  scratch.saved_row.assign(row.begin(), row.end());
  grammar.mask(row);
  const Token token = scan_maxima(kernels_, row, scratch) ? draw(row, scratch) : -1;
  std::copy(scratch.saved_row.begin(), scratch.saved_row.end(), row.begin());
  return token;
}

Token FusedSampler::draw(std::span<const float> row, RowScratch& scratch) {
  const float max = row_max(scratch);
  if (!std::isfinite(max)) return -1;
  if (params_.temperature <= 0) return first_with_logit(row, max, scratch);
  if (mirostat_) {
    mirostat_->filter(kernels_, row, scratch);
    const Drawn drawn = draw_from_ranked(max, scratch);
    mirostat_->observe(drawn.probability);
    return drawn.token;
  }
  const bool has_top_k = params_.top_k > 0 && static_cast<size_t>(params_.top_k) < row.size();
  if (has_top_k) {
    keep_top_k(row, scratch);
  } else if (params_.top_p < 1) {
    keep_nucleus(kernels_, row, params_.top_p, scratch);
  } else if (params_.min_p > 0) {
    collect(kernels_, row, max + std::log(params_.min_p), scratch);
  } else {
    return draw_from_all(row, max, scratch);
  }
  cut_min_p(max, scratch);
  return draw_from_ranked(max, scratch).token;
}

void FusedSampler::keep_top_k(std::span<const float> row, RowScratch& scratch) const {
  collect_best(kernels_, row, static_cast<size_t>(params_.top_k), scratch);
  if (params_.top_p >= 1) return;
  double total = 0;
  for (const RankedToken& token : scratch.ranked) {
    total += std::exp(token.logprob - scratch.ranked.front().logprob);
  }
  cut_top_p(params_.top_p * total, scratch);
}

void FusedSampler::cut_min_p(float max, RowScratch& scratch) const {
  if (params_.min_p <= 0) return;
  const float limit = max + std::log(params_.min_p);
  std::erase_if(scratch.ranked, [&](const RankedToken& token) { return token.logprob < limit; });
}

void FusedSampler::skip_draw() {
  if (params_.temperature > 0) std::uniform_real_distribution<double>(0, 1)(random_);
}

FusedSampler::Drawn FusedSampler::draw_from_ranked(float max, RowScratch& scratch) {
  const std::vector<RankedToken>& ranked = scratch.ranked;
  scratch.values.resize(ranked.size());
  double total = 0;
  for (size_t i = 0; i < ranked.size(); ++i) {
    scratch.values[i] = std::exp((ranked[i].logprob - max) / params_.temperature);
    total += scratch.values[i];
  }
  const double target = total * std::uniform_real_distribution<double>(0, 1)(random_);
  double sum = 0;
  for (size_t i = 0; i < ranked.size(); ++i) {
    sum += scratch.values[i];
    if (sum >= target && scratch.values[i] > 0) return {ranked[i].token, scratch.values[i] / total};
  }
  return {ranked.back().token, 1.0};
}

Token FusedSampler::draw_from_all(std::span<const float> row, float max, RowScratch& scratch) {
  const float scale = 1.0F / params_.temperature;
  const double total = total_exp(kernels_, row, scale, max, scratch);
  const double target = total * std::uniform_real_distribution<double>(0, 1)(random_);
  double sum = 0;
  Token last = -1;
  for (size_t b = 0; b < scratch.sum.size(); ++b) {
    if (scratch.sum[b] == 0) continue;
    const double weight = std::exp(static_cast<double>(scratch.max[b] - max) * scale);
    const size_t begin = b * kBlock;
    last = static_cast<Token>(begin);
    if (sum + scratch.sum[b] * weight < target) {
      sum += scratch.sum[b] * weight;
      continue;
    }
    const size_t n = std::min(kBlock, row.size() - begin);
    scratch.values.resize(kBlock);
    kernels_.exp_values(row.data() + begin, n, scale, scratch.max[b], scratch.values.data());
    for (size_t i = 0; i < n; ++i) {
      sum += scratch.values[i] * weight;
      if (scratch.values[i] > 0) last = static_cast<Token>(begin + i);
      if (sum >= target && scratch.values[i] > 0) return last;
    }
    return last;
  }
  return last;
}

}  // namespace pyserve
