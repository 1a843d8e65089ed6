// Mirostat: filters that learn to keep the surprise of the text at a target.
#pragma once

#include <span>

#include "pyserve/request.h"
#include "sample/row/scan.h"

namespace pyserve {

// Basu et al., "Mirostat: a neural text decoding algorithm that directly controls perplexity",
// algorithms 1 and 2, with llama.cpp's constants. Surprise is -log2 of a probability.
// Thread: one at a time.
class Mirostat {
 public:
  // REQUIRES: params.mirostat is 1 or 2, params.temperature > 0.
  explicit Mirostat(const SamplingParams& params);

  // Leaves in scratch.ranked what may be drawn from `row` at the temperature of the request; at
  // least the best token. REQUIRES: scratch.max are the block maxima of `row`.
  void filter(const RowKernels& kernels, std::span<const float> row, RowScratch& scratch) const;

  // A token was drawn that had this probability among what filter() left.
  void observe(double probability);

 private:
  void keep_unsurprising(const RowKernels& kernels, std::span<const float> row,
                         RowScratch& scratch) const;
  double estimate_k(const RankedToken* best, size_t n_best, size_t n_vocab) const;

  const int version_;
  const double tau_;
  const double eta_;
  const float scale_;  // 1 / temperature
  double mu_;          // the largest surprise that is allowed
};

}  // namespace pyserve
