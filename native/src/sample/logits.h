// Arithmetic on one row of logits.
#pragma once

#include <span>
#include <vector>

#include "pyserve/types.h"

namespace pyserve {

using LogitsRow = std::span<const float>;

// `logprob` as a float that JSON can hold: at least -9999.
float finite_logprob(double logprob);

// Index of the largest logit, the lowest one of equals; -1 when no logit is a finite number above
// -infinity or when the largest is NaN or +infinity: such a row must not be sampled.
Token argmax(LogitsRow logits);

struct RankedToken {
  Token token = 0;
  float logprob = 0;
};

struct RowLogprobs {
  float sampled = 0;             // of the sampled token
  std::vector<RankedToken> top;  // the k best, descending, ties by id
};

// Natural log-probabilities of the model's own distribution (softmax of the row).
// REQUIRES: argmax(logits) >= 0, sampled is a valid index. Values are finite, at least -9999.
RowLogprobs row_logprobs(LogitsRow logits, Token sampled, int k);

}  // namespace pyserve
