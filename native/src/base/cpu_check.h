// Whether this CPU can run what was compiled.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace pyserve {

// The names in `required` that `supports` denies, in order, separated by ", ". "" = all there.
inline std::string missing_features(const std::vector<std::string_view>& required,
                                    const std::function<bool(std::string_view)>& supports) {
  std::string missing;
  for (const std::string_view name : required) {
    if (supports(name)) continue;
    if (!missing.empty()) missing += ", ";
    missing += name;
  }
  return missing;
}

}  // namespace pyserve
