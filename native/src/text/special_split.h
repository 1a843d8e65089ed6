// Splits a prompt into control tokens and plain text.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "pyserve/types.h"

namespace pyserve {

// A run of prompt text. Text from a template may hold control tokens; input never does.
struct PromptPart {
  std::string text;
  bool is_input = false;
};

struct SpecialToken {
  std::string text;
  Token token = 0;
  bool strips_left = false;   // swallows white space before it
  bool strips_right = false;  // swallows white space after it
};

// Finds the control tokens of one vocabulary. Immutable after construction: any thread.
class SpecialSplitter {
 public:
  using Piece = std::variant<Token, std::string>;

  explicit SpecialSplitter(std::vector<SpecialToken> specials);

  // Control tokens of the template parts, and between them the plain text of all parts joined, so
  // that input is tokenized in the context of the template but can never be a control token.
  // At each position the longest control token wins. No piece is an empty string.
  std::vector<Piece> split(const std::vector<PromptPart>& parts) const;

  // The longest control token that `text` begins with, or nullptr.
  const SpecialToken* match(std::string_view text) const;
  // Its bytes; 0: there is none.
  size_t match_bytes(std::string_view text) const;

  // The farthest end of the control tokens that begin before `at`; 0: there are none near.
  size_t end_before(std::string_view text, size_t at) const;

 private:
  std::array<std::vector<SpecialToken>, 256> by_first_byte_;  // sorted by text
  size_t longest_bytes_ = 0;
};

}  // namespace pyserve
