// Cuts texts for SentencePiece vocabularies before characters that merge with nothing.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "text/special_split.h"

struct llama_vocab;

namespace pyserve {

// The vendor's merging takes time with the square of the characters that it has no token for. A
// character that is part of no token of several characters is merged with nothing, so that the
// tokens are the same when the text is cut before it. Immutable: any thread.
class LoneCutter {
 public:
  explicit LoneCutter(const llama_vocab* vocab);

  // The pieces of `text`, which they view; `specials` are the control tokens that are found in it.
  std::vector<std::string_view> cut(std::string_view text, const SpecialSplitter& specials) const;

  // How many of the first tokens of the piece at `at` are not the text's: of the space that the
  // vendor puts before a piece that it takes for a text.
  size_t n_extra_tokens(std::string_view text, size_t at, const SpecialSplitter& specials) const;

 private:
  bool is_lone(std::string_view text, size_t at) const;

  std::vector<bool> is_joining_;  // by character: tokens of several characters have it
  size_t n_space_tokens_;
};

}  // namespace pyserve
