#include "sched/step/adapter_turns.h"

#include <algorithm>

namespace pyserve {

const AdapterSet& AdapterTurns::next(std::span<const AdapterSet* const> running, double now_ms) {
  const auto is_running = [&](const AdapterSet& set) {
    return std::any_of(running.begin(), running.end(), [&](const auto* of) { return *of == set; });
  };
  std::erase_if(waiting_, [&](const AdapterSet& set) { return !is_running(set); });
  for (const AdapterSet* set : running) {
    const bool is_known = *set == current_ || std::ranges::find(waiting_, *set) != waiting_.end();
    if (!is_known) waiting_.push_back(*set);
  }
  if (waiting_.empty()) return current_;
  const bool goes_on = is_running(current_);
  if (goes_on && now_ms - began_ms_ < turn_ms_) return current_;
  if (goes_on) waiting_.push_back(std::move(current_));
  current_ = std::move(waiting_.front());
  waiting_.erase(waiting_.begin());
  began_ms_ = now_ms;
  return current_;
}

}  // namespace pyserve
