#include "text/thinking_budget.h"

#include <algorithm>
#include <utility>

namespace pyserve {

ThinkingBudget::ThinkingBudget(ThinkingLimit limit)
    : limit_(std::move(limit)), state_(limit_.is_open ? State::kInside : State::kBefore) {
  if (limit_.max_tokens < 0) end();
}

void ThinkingBudget::feed(std::string_view piece) {
  if (state_ == State::kAfter) return;
  characters_.feed(piece);
  seen_ += piece;
  if (state_ == State::kBefore) {
    const size_t begin = std::min(seen_.find_first_not_of(" \t\r\n"), seen_.size());
    const std::string_view text = std::string_view(seen_).substr(begin);
    if (text.starts_with(limit_.begin)) {
      enter(text.substr(limit_.begin.size()));
    } else if (!std::string_view(limit_.begin).starts_with(text)) {
      end();
    }
    return;
  }
  ++n_tokens_;
  enter(seen_);
}

void ThinkingBudget::enter(std::string_view text) {
  state_ = text.find(limit_.end) == text.npos ? State::kInside : State::kAfter;
  seen_ = std::string(text.substr(text.size() - std::min(text.size(), limit_.end.size())));
}

bool ThinkingBudget::is_used_up() const {
  return state_ == State::kInside && n_tokens_ >= limit_.max_tokens && !characters_.has_pending();
}

}  // namespace pyserve
