#include "sample/edits/logit_edits.h"

#include <algorithm>

namespace pyserve {

LogitEdits::LogitEdits(std::vector<std::pair<Token, float>> biases, const SamplingParams& params,
                       int n_window, TokenSpan prompt, std::optional<DryPenalty> dry)
    : biases_(std::move(biases)),
      repeat_penalty_(params.repeat_penalty),
      frequency_penalty_(params.frequency_penalty),
      presence_penalty_(params.presence_penalty),
      n_window_(params.repeat_penalty == 1.0F ? 0 : static_cast<size_t>(std::max(n_window, 0))),
      dry_(std::move(dry)) {
  const size_t n_skip = prompt.size() > n_window_ ? prompt.size() - n_window_ : 0;
  for (const Token token : prompt.subspan(n_skip)) push_window(token);
}

void LogitEdits::accept(Token token) {
  push_window(token);
  if (frequency_penalty_ != 0 || presence_penalty_ != 0) ++in_answer_[token];
  if (dry_) dry_->accept(token);
}

void LogitEdits::push_window(Token token) {
  if (n_window_ == 0) return;
  if (window_.size() == n_window_) {
    const auto oldest = in_window_.find(window_.front());
    if (--oldest->second == 0) in_window_.erase(oldest);
    window_.pop_front();
  }
  window_.push_back(token);
  ++in_window_[token];
}

std::span<const Token> LogitEdits::apply(std::span<float> row) {
  for (const auto& [token, bias] : biases_) edit(row, token, row[token] + bias);
  for (const auto& [token, count] : in_window_) {
    const float logit = row[token];
    edit(row, token, logit <= 0 ? logit * repeat_penalty_ : logit / repeat_penalty_);
  }
  for (const auto& [token, count] : in_answer_) {
    const float penalty = static_cast<float>(count) * frequency_penalty_ + presence_penalty_;
    edit(row, token, row[token] - penalty);
  }
  if (dry_) {
    for (const auto& [token, penalty] : dry_->penalties()) edit(row, token, row[token] - penalty);
  }
  return edited_;
}

void LogitEdits::edit(std::span<float> row, Token token, float value) {
  edited_.push_back(token);
  originals_.push_back(row[token]);
  row[token] = value;
}

void LogitEdits::undo(std::span<float> row) {
  for (size_t i = edited_.size(); i-- > 0;) row[edited_[i]] = originals_[i];
  edited_.clear();
  originals_.clear();
}

}  // namespace pyserve
