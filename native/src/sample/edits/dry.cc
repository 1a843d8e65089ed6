#include "sample/edits/dry.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace pyserve {

DryPenalty::DryPenalty(const SamplingParams& params, int n_window,
                       std::shared_ptr<const DryBreakers> breakers, TokenSpan prompt)
    : multiplier_(params.dry_multiplier),
      base_(params.dry_base),
      allowed_length_(static_cast<size_t>(std::max(params.dry_allowed_length, 0))),
      n_window_(static_cast<size_t>(std::max(n_window, 0))),
      breakers_(std::move(breakers)) {
  for (const Token token : prompt.last(std::min(prompt.size(), n_window_))) accept(token);
}

void DryPenalty::accept(Token token) {
  newest_first_.push_front(token);
  if (newest_first_.size() > n_window_) newest_first_.pop_back();
}

const std::unordered_map<Token, float>& DryPenalty::penalties() {
  penalties_.clear();
  if (newest_first_.size() <= allowed_length_) return penalties_;
  recent_.assign(newest_first_.begin(), newest_first_.end());
  const size_t limit = longest_allowed();
  if (limit < allowed_length_) return penalties_;
  count_repetitions(limit);
  turn_into_penalties();
  return penalties_;
}

// How many of the newest tokens are no part of a breaker.
size_t DryPenalty::longest_allowed() const {
  for (size_t i = 0; breakers_ && i < recent_.size(); ++i) {
    const int n_tail = breakers_->longest_tail(recent_, i);
    if (n_tail >= 0) return i - static_cast<size_t>(n_tail);
  }
  return recent_.size();
}

// The Z-function of the reversed window, and for each token the longest match that it followed.
void DryPenalty::count_repetitions(size_t limit) {
  const size_t n = recent_.size();
  matches_.assign(n, 0);
  lengths_.clear();
  size_t begin = 0;  // of the match that reaches furthest, and its end
  size_t end = 0;
  for (size_t k = 1; k < n; ++k) {
    size_t length = k < end ? std::min(end - k, matches_[k - begin]) : 0;
    while (k + length < n && recent_[length] == recent_[k + length]) ++length;
    matches_[k] = length;
    if (k + length > end) {
      begin = k;
      end = k + length;
    }
    const size_t counted = std::min(length, limit);
    if (counted < allowed_length_) continue;
    size_t& longest = lengths_[recent_[k - 1]];
    longest = std::max(longest, counted);
  }
}

void DryPenalty::turn_into_penalties() {
  // Powers stay finite.
  constexpr float kNoGrowth = 1.000001F;
  const float max_exponent = base_ > kNoGrowth
                                 ? std::log(std::numeric_limits<float>::max()) / std::log(base_)
                                 : static_cast<float>(n_window_);
  for (const auto& [token, length] : lengths_) {
    if (breakers_ && breakers_->is_single(token)) continue;
    const auto exponent =
        std::min(static_cast<float>(length - allowed_length_), std::floor(max_exponent));
    penalties_[token] = multiplier_ * std::pow(base_, exponent);
  }
}

}  // namespace pyserve
