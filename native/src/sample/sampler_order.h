// Decides which samplers a request uses, and in which order (`SamplingParams::samplers`).
#pragma once

#include <vector>

#include "pyserve/request.h"

namespace pyserve {

// The letters of `SamplingParams::samplers`.
enum class SamplerKind : char {
  kPenalties = 'e',
  kDry = 'd',
  kTopNSigma = 's',
  kTopK = 'k',
  kTypicalP = 'y',
  kTopP = 'p',
  kMinP = 'm',
  kXtc = 'x',
  kTemperature = 't',
  kAdaptiveP = 'a',  // draws the token; its place in the order does not matter
};

// `params` with one spelling for what is the same: samplers that are not listed in `samplers` are
// neutral, unknown letters are gone, a temperature too small to divide by is 0.
// With mirostat only penalties, DRY and a plain temperature are left, in this order, as in
// llama.cpp (which leaves the first two out, too); greedy requests lose what always keeps the best
// token.
SamplingParams normalized(SamplingParams params);

// The samplers that change something, in order. REQUIRES: normalized parameters.
std::vector<SamplerKind> active_samplers(const SamplingParams& params);

}  // namespace pyserve
