#include "text/stop_matcher.h"

#include <algorithm>
#include <utility>

namespace pyserve {

StopMatcher::StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase(stops_, std::string());
}

StopMatcher::Result StopMatcher::feed(std::string_view text, const MayStop& may_stop) {
  held_.append(text);
  // 1. The match that ends first; the longer one if two end together.
  const std::string* found = nullptr;
  size_t found_end = std::string::npos;
  for (const std::string& stop : stops_) {
    const size_t begin = find(stop, may_stop);
    if (begin == std::string::npos) continue;
    const size_t end = begin + stop.size();
    if (end < found_end || (end == found_end && stop.size() > found->size())) {
      found = &stop;
      found_end = end;
    }
  }
  if (found != nullptr) {
    Result result{held_.substr(0, found_end - found->size()), *found};
    held_.clear();
    return result;
  }
  // 2. Nothing yet: keep a tail that may become one.
  const size_t n_release = held_.size() - held_back_bytes();
  Result result{held_.substr(0, n_release), std::nullopt};
  held_.erase(0, n_release);
  return result;
}

std::string StopMatcher::finish() { return std::exchange(held_, {}); }

// Where `stop` first begins and counts; npos: nowhere.
size_t StopMatcher::find(const std::string& stop, const MayStop& may_stop) const {
  size_t begin = held_.find(stop);
  if (!may_stop) return begin;
  while (begin != std::string::npos && !may_stop(std::string_view(held_).substr(0, begin))) {
    begin = held_.find(stop, begin + 1);
  }
  return begin;
}

size_t StopMatcher::held_back_bytes() const {
  size_t longest = 0;
  for (const std::string& stop : stops_) {
    const size_t limit = std::min(stop.size() - 1, held_.size());
    for (size_t n = limit; n > longest; --n) {
      if (held_.ends_with(std::string_view(stop).substr(0, n))) {
        longest = n;
        break;
      }
    }
  }
  return longest;
}

}  // namespace pyserve
