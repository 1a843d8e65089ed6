// Tokens that may not come next, whatever the model makes of them.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "pyserve/types.h"

namespace pyserve {

struct BanRules {
  std::optional<std::vector<Token>> allowed;  // every other token is banned
  std::vector<std::vector<Token>> sequences;  // none of them is said whole
  std::vector<Token> ends;                    // banned before there are
  int n_before_end = 0;                       // so many tokens
};

// Thread: one at a time.
class TokenBans {
 public:
  // REQUIRES: all tokens are in a vocabulary of `n_vocab`, no sequence is empty.
  TokenBans(BanRules rules, int n_vocab);

  // Nothing is banned now.
  bool is_idle() const { return !has_lasting() && !bans_ends(); }
  // Tokens may be banned wherever the answer is.
  bool has_lasting() const { return rules_.allowed.has_value() || !rules_.sequences.empty(); }

  // Remembers a token of the answer.
  void accept(Token token);
  // Sets the logits of all banned tokens to -infinity.
  void mask(std::span<float> row) const;

 private:
  bool bans_ends() const { return n_said_ < rules_.n_before_end; }

  const BanRules rules_;
  std::vector<bool> is_allowed_;  // empty: all are
  size_t n_remembered_ = 0;
  std::vector<Token> last_;  // what a sequence may have begun with
  int n_said_ = 0;
};

}  // namespace pyserve
