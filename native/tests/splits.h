// Ways to feed a text to something that takes pieces.
#pragma once

#include <string>
#include <vector>

namespace pyserve {

// Whole, one byte at a time, and split in two at every byte.
inline std::vector<std::vector<std::string>> all_splits(const std::string& text) {
  std::vector<std::vector<std::string>> splits{{text}, {}};
  for (const char byte : text) splits[1].emplace_back(1, byte);
  for (size_t i = 0; i <= text.size(); ++i) splits.push_back({text.substr(0, i), text.substr(i)});
  return splits;
}

}  // namespace pyserve
