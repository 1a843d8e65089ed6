#include "text/output_text.h"

#include <utility>

namespace pyserve {

OutputText::Release OutputText::feed(std::string_view piece, std::optional<TokenLogprob> logprob,
                                     const StopMatcher::MayStop& may_stop) {
  const std::string text = assembler_.feed(piece);
  if (logprob) held_.push_back({n_assembled_, n_assembled_ + text.size(), std::move(*logprob)});
  n_assembled_ += text.size();
  StopMatcher::Result result = matcher_.feed(text, may_stop);
  if (result.stop && shows_stop_) result.text += *result.stop;
  return release(std::move(result.text), std::move(result.stop));
}

OutputText::Release OutputText::finish() {
  assembler_.drop_pending();
  return release(matcher_.finish(), std::nullopt);
}

OutputText::Release OutputText::release(std::string text, std::optional<std::string> stop) {
  n_released_ += text.size();
  Release out{std::move(text), {}, std::move(stop)};
  while (!held_.empty()) {
    HeldLogprob& next = held_.front();
    // After a stop string, a token that began before it still belongs to the answer.
    const bool is_out = out.stop ? next.begin < n_released_ : next.end <= n_released_;
    if (!is_out) break;
    out.logprobs.push_back(std::move(next.logprob));
    held_.pop_front();
  }
  return out;
}

}  // namespace pyserve
