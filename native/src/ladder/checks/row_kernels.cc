// Passes over a row of logits, against the portable ones.

#include <cmath>
#include <cstdint>
#include <vector>

#include "ladder/proof.h"
#include "ladder/small_graph.h"
#include "sample/row/kernels.h"

namespace pyserve {
namespace {

bool are_near(const std::vector<float>& some, const std::vector<float>& others) {
  for (size_t i = 0; i < some.size(); ++i) {
    if (!is_near(some[i], others[i], std::abs(others[i]))) return false;
  }
  return true;
}

// What all passes make of a row.
struct Passes {
  Passes(const RowKernels& kernels, const std::vector<float>& row)
      : maxima(n_blocks(row.size())), sums(maxima.size()), exps(row.size()) {
    constexpr float kScale = 1.25F;
    constexpr float kThreshold = 5.0F;
    is_number = kernels.block_max(row.data(), row.size(), maxima.data());
    kernels.block_exp_sum(row.data(), row.size(), kScale, maxima.data(), sums.data());
    kernels.exp_values(row.data(), row.size(), kScale, maxima[0], exps.data());
    ids.resize(row.size());
    values.resize(row.size());
    const size_t n =
        kernels.collect(row.data(), row.size(), kThreshold, 7, ids.data(), values.data());
    ids.resize(n);
    values.resize(n);
  }

  bool agrees_with(const Passes& other) const {
    return is_number == other.is_number && maxima == other.maxima && are_near(sums, other.sums) &&
           are_near(exps, other.exps) && ids == other.ids && values == other.values;
  }

  bool is_number = false;
  std::vector<float> maxima, sums, exps, values;
  std::vector<int32_t> ids;
};

}  // namespace

std::string check_row_kernels(Rung rung) {
  constexpr size_t kLogits = 1003;
  std::vector<float> row = Numbers(8).many(kLogits);
  for (float& logit : row) logit *= 10;
  const Passes ours(row_kernels(rung), row);
  const Passes portable(row_kernels(Rung::kStock), row);
  return ours.agrees_with(portable) ? "" : "the passes over a row of logits are wrong";
}

}  // namespace pyserve
