// Pools the states of a prompt's tokens to one.
#pragma once

#include <span>
#include <vector>

#include "llama/model/model.h"

namespace pyserve {

// Takes the states of a prompt in order, in as many parts as they come.
// Thread: one at a time.
class PooledState {
 public:
  // REQUIRES: pooling is not kNone.
  PooledState(Pooling pooling, int n_embd) : pooling_(pooling), sum_(n_embd, 0.0) {}

  void add(std::span<const float> state);
  // The vector, made 1 long; empty when that cannot be done: NaN, infinity or all zeros.
  std::vector<float> normalized() const;
  // The state as it is: what a ranking head takes. Empty for NaN and infinity.
  std::vector<float> state() const;

 private:
  std::vector<float> scaled(double scale) const;

  Pooling pooling_;
  int n_added_ = 0;
  std::vector<double> sum_;
};

}  // namespace pyserve
