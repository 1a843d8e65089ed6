// Types of what is computed from one row of logits.
#pragma once

#include <span>
#include <vector>

#include "pyserve/types.h"

namespace pyserve {

using LogitsRow = std::span<const float>;

// `logprob` as a float that JSON can hold: at least -9999.
float finite_logprob(double logprob);

struct RankedToken {
  Token token = 0;
  float logprob = 0;
};

// Natural log-probabilities of the model's own distribution, the softmax of a row.
struct RowLogprobs {
  float sampled = 0;             // of the sampled token
  std::vector<RankedToken> top;  // the k best, descending, ties by id
};

}  // namespace pyserve
