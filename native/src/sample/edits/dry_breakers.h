// DRY's sequence breakers as tokens: where a repetition ends.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "pyserve/types.h"

namespace pyserve {

// Immutable once made: any thread.
struct DryBreakers {
  std::vector<bool> single;               // by token: has a whole breaker in it; may be shorter
  std::vector<std::vector<Token>> tails;  // how breakers go on
  // Sorted: a token that begins a breaker, and which of `tails` must follow it.
  std::vector<std::pair<Token, int>> heads;

  bool is_single(Token token) const {
    return static_cast<size_t>(token) < single.size() && single[static_cast<size_t>(token)];
  }
  // Tokens of the longest breaker that begins at newest_first[i], without that one; -1 = none does.
  int longest_tail(std::span<const Token> newest_first, size_t i) const;
};

// How to read a vocabulary.
struct Vocabulary {
  int n_tokens = 0;
  std::function<std::string(Token)> text;
  std::function<std::vector<Token>(const std::string&)> tokenize;
};

// Every way in which the tokens of `vocabulary` can spell one of `texts`: within one token, or
// begun by the end of one. Only the first 40 bytes of a text count, and 20 tokens after the first.
// Reads the whole vocabulary: some ten milliseconds for a large one.
DryBreakers find_breakers(const Vocabulary& vocabulary, const std::vector<std::string>& texts);

}  // namespace pyserve
