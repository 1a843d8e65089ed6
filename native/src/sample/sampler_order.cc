#include "sample/sampler_order.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace pyserve {
namespace {

constexpr float kSmallestTemperature = 1e-6F;
constexpr std::string_view kWithMirostat = "edt";
constexpr std::string_view kNoneOfGreedy = "skpma";  // they never drop the best token

bool has(const SamplingParams& params, SamplerKind kind) {
  return params.samplers.find(static_cast<char>(kind)) != std::string::npos;
}

bool is_active(const SamplingParams& p, SamplerKind kind) {
  switch (kind) {
    case SamplerKind::kPenalties:
      return (p.repeat_penalty != 1 && p.repeat_last_n != 0) || p.frequency_penalty != 0 ||
             p.presence_penalty != 0;
    case SamplerKind::kDry:
      return p.dry_multiplier > 0 && p.dry_base >= 1 && p.dry_penalty_last_n != 0;
    case SamplerKind::kTopNSigma:
      return p.top_n_sigma > 0;
    case SamplerKind::kTopK:
      return p.top_k > 0;
    case SamplerKind::kTypicalP:
      return p.typical_p < 1;
    case SamplerKind::kTopP:
      return p.top_p < 1;
    case SamplerKind::kMinP:
      return p.min_p > 0;
    case SamplerKind::kXtc:
      return p.xtc_probability > 0 && p.xtc_threshold <= 0.5F;
    case SamplerKind::kTemperature:
      return p.temperature != 1 || p.dynatemp_range > 0;
    case SamplerKind::kAdaptiveP:
      return p.adaptive_target >= 0;
  }
  return false;  // an unknown letter
}

void neutralize(SamplingParams& p, SamplerKind kind) {
  static const SamplingParams kDefaults;
  switch (kind) {
    case SamplerKind::kPenalties:
      p.repeat_penalty = 1;
      p.frequency_penalty = p.presence_penalty = 0;
      break;
    case SamplerKind::kDry:
      p.dry_multiplier = 0;
      break;
    case SamplerKind::kTopNSigma:
      p.top_n_sigma = kDefaults.top_n_sigma;
      break;
    case SamplerKind::kTopK:
      p.top_k = 0;
      break;
    case SamplerKind::kTypicalP:
      p.typical_p = 1;
      break;
    case SamplerKind::kTopP:
      p.top_p = 1;
      break;
    case SamplerKind::kMinP:
      p.min_p = 0;
      break;
    case SamplerKind::kXtc:
      p.xtc_probability = 0;
      break;
    case SamplerKind::kTemperature:
      p.temperature = 1;
      p.dynatemp_range = 0;
      break;
    case SamplerKind::kAdaptiveP:
      p.adaptive_target = kDefaults.adaptive_target;
      break;
  }
}

// Takes letters out of the order; `is_kept` says which ones stay.
template <typename Predicate>
void keep(SamplingParams& params, Predicate is_kept) {
  std::erase_if(params.samplers, [&](char letter) { return !is_kept(letter); });
}

// Only the best token is left, whatever the rest of the distribution is.
bool is_greedy(const SamplingParams& params) {
  return has(params, SamplerKind::kTemperature) && params.temperature <= 0 &&
         params.dynatemp_range <= 0 && !has(params, SamplerKind::kTypicalP) &&
         !has(params, SamplerKind::kXtc);
}

}  // namespace

SamplingParams normalized(SamplingParams params) {
  if (params.temperature < kSmallestTemperature) params.temperature = 0;
  if (params.mirostat != 1 && params.mirostat != 2) params.mirostat = 0;
  if (params.mirostat != 0) {
    params.dynatemp_range = 0;
    const std::string listed = std::exchange(params.samplers, "");
    for (const char letter : kWithMirostat) {
      if (letter == 't' || listed.find(letter) != std::string::npos) params.samplers += letter;
    }
  }
  keep(params, [&](char letter) { return is_active(params, static_cast<SamplerKind>(letter)); });
  if (is_greedy(params)) {
    params.mirostat = 0;
    keep(params, [](char letter) { return kNoneOfGreedy.find(letter) == kNoneOfGreedy.npos; });
  }
  using enum SamplerKind;
  for (const SamplerKind kind : {kPenalties, kDry, kTopNSigma, kTopK, kTypicalP, kTopP, kMinP, kXtc,
                                 kTemperature, kAdaptiveP}) {
    if (!has(params, kind)) neutralize(params, kind);
  }
  return params;
}

std::vector<SamplerKind> active_samplers(const SamplingParams& params) {
  std::vector<SamplerKind> kinds;
  for (const char letter : params.samplers) kinds.push_back(static_cast<SamplerKind>(letter));
  return kinds;
}

}  // namespace pyserve
