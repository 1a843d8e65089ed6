#include "sample/row/scan.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace pyserve {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
constexpr size_t kNucleusBlocks = 64;  // their maxima set the first threshold of top_p alone
// Buckets of logits below the best, for a nucleus of many tokens; the last one holds the rest.
constexpr size_t kBuckets = 2048;
constexpr float kBucketsPerNat = 64.0F;

size_t bucket_of(float logit, float max) {
  const float distance = (max - logit) * kBucketsPerNat;
  return distance < kBuckets - 1 ? static_cast<size_t>(distance) : kBuckets - 1;
}

bool is_better(const RankedToken& a, const RankedToken& b) {
  return a.logprob != b.logprob ? a.logprob > b.logprob : a.token < b.token;
}

// The k-th largest block maximum: at least k logits are >= it. Without so many blocks, everything.
float block_threshold(size_t k, RowScratch& scratch) {
  if (k == 0 || k > scratch.max.size()) return kMinusInfinity;
  scratch.sorted = scratch.max;
  std::nth_element(scratch.sorted.begin(), scratch.sorted.begin() + static_cast<long>(k) - 1,
                   scratch.sorted.end(), std::greater<>());
  return scratch.sorted[k - 1];
}

// Sorts only the bucket in which the cut lies.
void keep_wide_nucleus(const RowKernels& kernels, std::span<const float> row, double mass_needed,
                       RowScratch& scratch) {
  const float max = row_max(scratch);
  // 1. The mass of each bucket, and the first one that ends past the cut.
  scratch.buckets.assign(kBuckets, 0);
  scratch.values.resize(kBlock);
  for (size_t begin = 0; begin < row.size(); begin += kBlock) {
    const size_t n = std::min(kBlock, row.size() - begin);
    kernels.exp_values(row.data() + begin, n, 1.0F, max, scratch.values.data());
    for (size_t i = 0; i < n; ++i) {
      scratch.buckets[bucket_of(row[begin + i], max)] += scratch.values[i];
    }
  }
  double mass = 0;
  size_t last = 0;
  while (last + 1 < kBuckets && mass + scratch.buckets[last] < mass_needed) {
    mass += scratch.buckets[last++];
  }
  // 2. What is above it is kept as it comes; a little more is collected, for the sake of rounding.
  const bool has_end = last + 1 < kBuckets;
  const float threshold = max - static_cast<float>(last + 2) / kBucketsPerNat;
  collect(kernels, row, has_end ? threshold : kMinusInfinity, scratch);
  std::vector<RankedToken>& ranked = scratch.ranked;
  std::erase_if(ranked, [&](const RankedToken& t) { return bucket_of(t.logprob, max) > last; });
  const auto cut = std::partition(ranked.begin(), ranked.end(), [&](const RankedToken& token) {
    return bucket_of(token.logprob, max) < last;
  });
  std::sort(cut, ranked.end(), is_better);
  cut_top_p(mass_needed, scratch, static_cast<size_t>(cut - ranked.begin()), mass);
}

}  // namespace

bool scan_maxima(const RowKernels& kernels, LogitsRow row, RowScratch& scratch) {
  scratch.max.resize(n_blocks(row.size()));
  return kernels.block_max(row.data(), row.size(), scratch.max.data()) &&
         std::isfinite(row_max(scratch));
}

float row_max(const RowScratch& scratch) {
  return scratch.max.empty() ? kMinusInfinity
                             : *std::max_element(scratch.max.begin(), scratch.max.end());
}

double total_exp(const RowKernels& kernels, std::span<const float> row, float scale, float max,
                 RowScratch& scratch) {
  scratch.sum.resize(scratch.max.size());
  kernels.block_exp_sum(row.data(), row.size(), scale, scratch.max.data(), scratch.sum.data());
  double total = 0;
  for (size_t b = 0; b < scratch.sum.size(); ++b) {
    if (scratch.sum[b] == 0) continue;
    total += scratch.sum[b] * std::exp(static_cast<double>(scratch.max[b] - max) * scale);
  }
  return total;
}

void collect(const RowKernels& kernels, std::span<const float> row, float threshold,
             RowScratch& scratch) {
  scratch.ranked.clear();
  const float limit = std::max(threshold, std::numeric_limits<float>::lowest());
  scratch.ids.resize(kBlock);
  scratch.values.resize(kBlock);
  for (size_t b = 0; b < scratch.max.size(); ++b) {
    if (scratch.max[b] < limit) continue;
    const size_t begin = b * kBlock;
    const size_t n = std::min(kBlock, row.size() - begin);
    const size_t n_found =
        kernels.collect(row.data() + begin, n, limit, static_cast<int32_t>(begin),
                        scratch.ids.data(), scratch.values.data());
    for (size_t i = 0; i < n_found; ++i) {
      scratch.ranked.push_back({scratch.ids[i], scratch.values[i]});
    }
  }
}

void collect_best(const RowKernels& kernels, std::span<const float> row, size_t k,
                  RowScratch& scratch) {
  std::vector<RankedToken>& ranked = scratch.ranked;
  if (k == 0) return ranked.clear();
  collect(kernels, row, block_threshold(k, scratch), scratch);
  const size_t n = std::min(k, ranked.size());
  std::partial_sort(ranked.begin(), ranked.begin() + static_cast<long>(n), ranked.end(), is_better);
  ranked.resize(n);
}

double best_logprobs(const RowKernels& kernels, LogitsRow row, int k, RowScratch& scratch,
                     std::vector<RankedToken>& top) {
  const float max = row_max(scratch);
  const double log_sum = max + std::log(total_exp(kernels, row, 1.0F, max, scratch));
  collect_best(kernels, row, static_cast<size_t>(std::max(k, 0)), scratch);
  for (const RankedToken& best : scratch.ranked) {
    top.push_back({best.token, finite_logprob(best.logprob - log_sum)});
  }
  return log_sum;
}

RowLogprobs row_logprobs(const RowKernels& kernels, LogitsRow row, Token sampled, int k,
                         RowScratch& scratch) {
  RowLogprobs out;
  const double log_sum = best_logprobs(kernels, row, k, scratch, out.top);
  out.sampled = finite_logprob(row[static_cast<size_t>(sampled)] - log_sum);
  return out;
}

void keep_best(const RowKernels& kernels, std::span<const float> row, size_t k,
               RowScratch& scratch) {
  collect(kernels, row, block_threshold(k, scratch), scratch);
  std::vector<RankedToken>& ranked = scratch.ranked;
  if (ranked.size() <= k) return;
  std::nth_element(ranked.begin(), ranked.begin() + static_cast<long>(k), ranked.end(), is_better);
  ranked.resize(k);
}

void keep_nucleus(const RowKernels& kernels, std::span<const float> row, float top_p,
                  RowScratch& scratch) {
  const float max = row_max(scratch);
  const double mass_needed = top_p * total_exp(kernels, row, 1.0F, max, scratch);
  collect(kernels, row, block_threshold(kNucleusBlocks, scratch), scratch);
  double mass = 0;
  for (const RankedToken& token : scratch.ranked) mass += std::exp(token.logprob - max);
  if (mass < mass_needed) return keep_wide_nucleus(kernels, row, mass_needed, scratch);
  std::sort(scratch.ranked.begin(), scratch.ranked.end(), is_better);
  cut_top_p(mass_needed, scratch);
}

void cut_top_p(double mass_needed, RowScratch& scratch, size_t n_kept, double mass) {
  std::vector<RankedToken>& ranked = scratch.ranked;
  const float max = row_max(scratch);
  for (size_t i = n_kept; i < ranked.size(); ++i) {
    mass += std::exp(ranked[i].logprob - max);
    if (mass < mass_needed) continue;
    ranked.resize(i + 1);
    return;
  }
}

}  // namespace pyserve
