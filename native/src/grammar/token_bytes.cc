#include "grammar/token_bytes.h"

#include <algorithm>

namespace pyserve {

TokenBytes::TokenBytes(const std::vector<std::string>& pieces, std::vector<Token> ends)
    : is_end_(pieces.size()), ends_(std::move(ends)) {
  for (const Token token : ends_) is_end_[token] = true;
  offsets_.push_back(0);
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (!is_end_[i]) bytes_ += pieces[i];
    offsets_.push_back(bytes_.size());
    n_longest_ = std::max(n_longest_, offsets_[i + 1] - offsets_[i]);
    if (offsets_[i] < offsets_[i + 1]) sorted_.push_back(static_cast<Token>(i));
  }
  std::sort(sorted_.begin(), sorted_.end(), [this](Token a, Token b) { return text(a) < text(b); });
  std::string_view before;
  for (const Token token : sorted_) {
    const std::string_view now = text(token);
    const size_t n = std::min(before.size(), now.size());
    const auto end = std::mismatch(now.begin(), now.begin() + static_cast<long>(n), before.begin());
    shared_.push_back(static_cast<uint32_t>(end.first - now.begin()));
    before = now;
  }
}

}  // namespace pyserve
