#include "engine/request/progress.h"

#include <algorithm>
#include <utility>

namespace pyserve {

RequestProgress::RequestProgress(std::vector<Token> prompt)
    : tokens_(std::move(prompt)), n_prompt_(static_cast<int>(tokens_.size())) {}

void RequestProgress::start(SeqId seq_id, int n_computed) {
  seq_id_ = seq_id;
  n_computed_ = n_computed;
  if (started_at_) return;
  started_at_ = Clock::now();
  n_cached_ = n_computed;
}

void RequestProgress::preempt() {
  seq_id_ = -1;
  n_computed_ = 0;
  checked_.clear();
  was_preempted_ = true;
}

RunningView RequestProgress::view(int n_forked, int n_most) const {
  const auto cut = cuts_.upper_bound(n_computed_);
  const int n_end = cut == cuts_.end() ? n_known() : std::min(*cut, n_known());
  RunningView view;
  view.n_known = n_computed_ + std::min(n_end - n_computed_, n_most) - n_forked;
  view.n_computed = n_computed_ - n_forked;
  view.last_turn = last_turn_;
  view.was_preempted = was_preempted_;
  return view;
}

bool RequestProgress::can_draft() const {
  return is_answering() && n_missing() == 1 && !has_cut_ahead();
}

void RequestProgress::set_draft(TokenSpan draft) {
  checked_.clear();
  if (draft.empty()) return;
  checked_.assign(1, tokens_.back());
  checked_.insert(checked_.end(), draft.begin(), draft.end());
}

std::vector<Token> RequestProgress::take_draft() {
  std::vector<Token> draft = std::exchange(checked_, {});
  if (!draft.empty()) draft.erase(draft.begin());
  return draft;
}

TokenSpan RequestProgress::next_tokens(int n_tokens) const {
  return checked_.empty() ? tokens().subspan(n_computed_, n_tokens) : TokenSpan(checked_);
}

}  // namespace pyserve
