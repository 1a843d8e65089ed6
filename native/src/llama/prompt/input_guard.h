// Keeps input that a template writes as JSON from becoming control tokens.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/special_split.h"

class common_json;

namespace pyserve {

// Templates mark what they copy as input, but the filter `tojson` forgets the mark. So a text that
// nobody can guess is put into every control token of such input, and the prompt is split where it
// comes out again. Immutable: any thread.
class InputGuard {
 public:
  explicit InputGuard(std::vector<SpecialToken> specials) : specials_(std::move(specials)) {}

  // `value` with the control tokens in its texts and keys broken.
  common_json broken(const common_json& value) const;

  // Appends `part` without the breaks, split there: no control token spans two parts.
  static void add_mended(PromptPart part, std::vector<PromptPart>& parts);

 private:
  std::string broken_text(std::string_view text) const;

  SpecialSplitter specials_;
};

// The object that the JSON text `arguments` describes; `arguments` itself if it is none, or nested
// too deep for what walks through it by recursion.
common_json object_or_text(const common_json& arguments);

}  // namespace pyserve
