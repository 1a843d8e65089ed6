// Speculation without a draft model: what an answer probably is, because much of it is known.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "pyserve/types.h"

namespace pyserve {

// Follows an answer through a known text and proposes the tokens that probably come next. Where
// they part it first supposes that one token was replaced, and looks for the answer's tokens a
// little further on; later for the last two of them anywhere.
// Proposals say nothing about the answer: whoever uses them checks each one.
// Thread: one at a time.
class Draft {
 public:
  static constexpr int kMaxLength = 15;

  explicit Draft(std::vector<Token> tokens);

  // What probably follows, at most `n_max` tokens; empty where the answer is somewhere else.
  TokenSpan propose(int n_max) const;
  // The answer goes on with `token`.
  void accept(Token token);
  // Of `n_proposed` tokens that were checked `n_accepted` were right: longer or shorter ones next.
  void learn(int n_proposed, int n_accepted);

 private:
  static constexpr int kWindow = 8;   // tokens ahead that are looked at one by one
  static constexpr int kGuess = 2;    // proposed while the place is a guess
  static constexpr int kMaxLost = 4;  // tokens until the place is no longer guessed

  void find_again(Token token);

  std::vector<Token> tokens_;
  std::unordered_map<uint64_t, std::vector<int>>
      after_pair_;  // where two tokens lead to, ascending
  int next_ = 0;    // index of what should follow
  int anchor_ = 0;  // where the answer was last seen for certain
  int n_lost_ = 0;  // tokens since then
  int n_length_ = 4;
  Token last_ = -1;
};

}  // namespace pyserve
