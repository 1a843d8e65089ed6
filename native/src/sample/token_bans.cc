#include "sample/token_bans.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace pyserve {

TokenBans::TokenBans(BanRules rules, int n_vocab) : rules_(std::move(rules)) {
  if (rules_.allowed) {
    is_allowed_.assign(n_vocab, false);
    for (const Token token : *rules_.allowed) is_allowed_[token] = true;
  }
  for (const std::vector<Token>& sequence : rules_.sequences) {
    n_remembered_ = std::max(n_remembered_, sequence.size() - 1);
  }
}

void TokenBans::accept(Token token) {
  ++n_said_;
  if (n_remembered_ == 0) return;
  if (last_.size() == n_remembered_) last_.erase(last_.begin());
  last_.push_back(token);
}

void TokenBans::mask(std::span<float> row) const {
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < is_allowed_.size(); ++i) {
    if (!is_allowed_[i]) row[i] = kNever;
  }
  if (bans_ends()) {
    for (const Token token : rules_.ends) row[token] = kNever;
  }
  for (const std::vector<Token>& sequence : rules_.sequences) {
    const size_t n_before = sequence.size() - 1;
    if (n_before > last_.size()) continue;
    if (std::equal(sequence.begin(), sequence.end() - 1, last_.end() - static_cast<long>(n_before)))
      row[sequence.back()] = kNever;
  }
}

}  // namespace pyserve
