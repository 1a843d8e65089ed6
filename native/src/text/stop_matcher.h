// Finds stop strings in text that arrives in pieces.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pyserve {

// Holds back the longest tail that could still become a stop string, so that no part of one is
// ever released. The first stop string to be complete wins; of two that end together, the longer.
// Splitting the input differently never changes the concatenated output.
class StopMatcher {
 public:
  // Whether the text may stop after `before`, which follows what was released.
  using MayStop = std::function<bool(std::string_view before)>;

  struct Result {
    std::string text;                 // safe to show
    std::optional<std::string> stop;  // set once: the stop string that was found
  };

  // Empty strings in `stops` are ignored.
  explicit StopMatcher(std::vector<std::string> stops);

  // Stop strings where the text may not stop are text; none: it may anywhere.
  // REQUIRES: no stop string was found yet.
  Result feed(std::string_view text, const MayStop& may_stop = nullptr);

  // Releases what is held back; there is no more input.
  std::string finish();

 private:
  size_t find(const std::string& stop, const MayStop& may_stop) const;
  size_t held_back_bytes() const;

  std::vector<std::string> stops_;
  std::string held_;
};

}  // namespace pyserve
