// Finds the few tokens of a row that matter, without sorting the row.
#pragma once

#include <span>
#include <vector>

#include "sample/row/kernels.h"
#include "sample/row/logits.h"

namespace pyserve {

// Buffers of one draw; sharing them between the requests of a thread saves allocations.
struct RowScratch {
  std::vector<float> max;       // of each block: the caller's, the functions below read it
  std::vector<float> sum;       // of exp over each block
  std::vector<float> sorted;    // block maxima in the making of a threshold
  std::vector<double> buckets;  // of exp, by logit
  std::vector<int32_t> ids;
  std::vector<float> values;
  std::vector<float> saved_row;
  std::vector<RankedToken> ranked;  // the tokens found; `logprob` holds a logit here
};

// Fills scratch.max. False for a row that must not be used: with NaN or +infinity in it, or without
// anything above -infinity.
bool scan_maxima(const RowKernels& kernels, LogitsRow row, RowScratch& scratch);

float row_max(const RowScratch& scratch);

// Sum of exp((logit - max) * scale) over the row; leaves the sums of the blocks in scratch.sum.
double total_exp(const RowKernels& kernels, std::span<const float> row, float scale, float max,
                 RowScratch& scratch);

// All tokens with a logit >= threshold, and above -infinity, in the order of ids.
void collect(const RowKernels& kernels, std::span<const float> row, float threshold,
             RowScratch& scratch);

// The k best tokens, sorted: descending, equals by id.
void collect_best(const RowKernels& kernels, std::span<const float> row, size_t k,
                  RowScratch& scratch);

// Their log-probabilities into `top`; tokens at -infinity are never among them. Returns the log of
// the sum of exp(logit) over the row: a logit less that is a log-probability.
double best_logprobs(const RowKernels& kernels, LogitsRow row, int k, RowScratch& scratch,
                     std::vector<RankedToken>& top);

// The same, and the log-probability of `sampled`. REQUIRES: scan_maxima() was true for this row.
RowLogprobs row_logprobs(const RowKernels& kernels, LogitsRow row, Token sampled, int k,
                         RowScratch& scratch);

// The k best tokens in any order, which is faster for a large k.
void keep_best(const RowKernels& kernels, std::span<const float> row, size_t k,
               RowScratch& scratch);

// The fewest best tokens that have top_p of the row's probability, in any order.
void keep_nucleus(const RowKernels& kernels, std::span<const float> row, float top_p,
                  RowScratch& scratch);

// Cuts scratch.ranked where its sum of exp(logit - row maximum) reaches `mass_needed`. The first
// `n_kept` tokens have the sum `mass` and stay; the others are sorted.
void cut_top_p(double mass_needed, RowScratch& scratch, size_t n_kept = 0, double mass = 0);

}  // namespace pyserve
