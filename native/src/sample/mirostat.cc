#include "sample/mirostat.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace pyserve {
namespace {

constexpr size_t kEstimateFrom = 100;  // most probable tokens that show the exponent of Zipf's law
constexpr double kNearlyOne = 1e-6;

}  // namespace

Mirostat::Mirostat(const SamplingParams& params)
    : version_(params.mirostat),
      tau_(params.mirostat_tau),
      eta_(params.mirostat_eta),
      scale_(1.0F / params.temperature),
      mu_(2.0 * tau_) {}

void Mirostat::filter(const RowKernels& kernels, std::span<const float> row,
                      RowScratch& scratch) const {
  if (version_ == 2) {
    keep_unsurprising(kernels, row, scratch);
  } else {
    collect_best(kernels, row, kEstimateFrom, scratch);
    const double k = estimate_k(scratch.ranked.data(), scratch.ranked.size(), row.size());
    keep_best(kernels, row, static_cast<size_t>(k), scratch);
  }
}

void Mirostat::keep_unsurprising(const RowKernels& kernels, std::span<const float> row,
                                 RowScratch& scratch) const {
  const float max = row_max(scratch);
  const double log_total = std::log(total_exp(kernels, row, scale_, max, scratch));
  const double below_max = (mu_ * std::numbers::ln2 - log_total) / scale_;
  // The best token is always kept.
  collect(kernels, row, max - static_cast<float>(std::max(below_max, 0.0)), scratch);
}

// How many tokens have a surprise below mu, if probabilities fall as Zipf's law says.
double Mirostat::estimate_k(const RankedToken* best, size_t n_best, size_t n_vocab) const {
  double sum_tb = 0;
  double sum_tt = 0;
  for (size_t i = 0; i + 1 < n_best; ++i) {
    const double t = std::log(static_cast<double>(i + 2) / static_cast<double>(i + 1));
    sum_tb += t * (best[i].logprob - best[i + 1].logprob) * scale_;
    sum_tt += t * t;
  }
  const auto n = static_cast<double>(n_vocab);
  if (sum_tt == 0) return 1;
  const double s = sum_tb / sum_tt;
  const double epsilon = s - 1;
  const double factor =
      std::abs(epsilon) < kNearlyOne ? 1 / std::log(n) : epsilon / (1 - std::pow(n, -epsilon));
  const double k = std::pow(factor * std::exp2(mu_), 1 / s);
  return std::isnan(k) ? 1 : std::clamp(std::floor(k), 1.0, n);
}

void Mirostat::observe(double probability) {
  const double surprise = -std::log2(probability);
  mu_ -= eta_ * (surprise - tau_);
}

}  // namespace pyserve
