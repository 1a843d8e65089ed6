// An index of n-grams: where the last tokens of a growing text have been before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "pyserve/types.h"

namespace pyserve {

// Every place is in the chain of its last two tokens, latest first; what chains of different pairs
// share by chance is told apart by looking. A search looks at a bounded number of places, so it
// costs no more in a long text. Memory: eight bytes a token, and a table of fixed size.
// Thread: one at a time.
class NgramIndex {
 public:
  // The places of [begin, end) that are wanted most, the first one first; none: {0, 0}.
  struct Range {
    int begin = 0;
    int end = 0;
  };
  // The text before `next` ends like the whole text does, in `n_tokens` tokens.
  struct Match {
    int next = 0;
    int n_tokens = 0;  // 0: there is none; at most kMaxMatch
  };
  static constexpr int kMinMatch = 2;
  static constexpr int kMaxMatch = 32;

  // For a text of about `n_tokens`; it may become longer.
  explicit NgramIndex(size_t n_tokens);

  void add(Token token);
  // What is added from now on does not follow what was before: no match crosses it.
  void part();
  // The longest match. Of equal ones the first in `preferred`, else the latest.
  Match find(Range preferred) const;

  const std::vector<Token>& tokens() const { return tokens_; }
  int size() const { return static_cast<int>(tokens_.size()); }

 private:
  static constexpr Token kParting = -1;  // no token of a text
  static constexpr int kMaxPlaces = 64;  // that one search looks at

  size_t chain_of(Token first, Token second) const;
  int match_length(int next) const;

  std::vector<Token> tokens_;
  std::vector<int> older_;  // of each place, the next older one in its chain; 0: none
  std::vector<int> heads_;  // the latest place of each chain; its size is a power of two
};

}  // namespace pyserve
