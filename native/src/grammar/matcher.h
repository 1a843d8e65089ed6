// One answer that is held to a grammar: which tokens may come next.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "grammar/grammar.h"
#include "grammar/states.h"
#include "grammar/token_bytes.h"
#include "pyserve/types.h"

namespace pyserve {

// Text tokens are allowed when the answer can still become what the grammar describes, tokens
// that end the answer where it already is. Which tokens a state allows is found once.
// Thread: one at a time.
class GrammarMatcher {
 public:
  GrammarMatcher(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenBytes> tokens);

  // Whether `token` may come next.
  bool allows(Token token);
  // Sets the logits of all tokens that may not come next to -infinity.
  void mask(std::span<float> row);
  // The text that must come next, at most `n_max` bytes of it; "" where there is a choice.
  std::string forced_text(size_t n_max);
  // Nothing but the end of the answer is possible after `text`.
  bool is_complete_after(std::string_view text);
  // The answer may end after `text`.
  bool can_end_after(std::string_view text);
  // The answer goes on with `token`. REQUIRES: allows(token).
  void accept(Token token);
  // The answer goes on with `text`.
  void accept_text(std::string_view text);

  // The answer may end here.
  bool can_end() const { return states_.can_end(state_); }

  // Nothing but the end of the answer is possible.
  bool is_complete() const { return is_complete(state_); }
  // Why there is no next token, for the client; "" when there may be one. Known after mask().
  std::string why_stuck() const;

 private:
  static constexpr size_t kMaxMasks = 128;

  bool is_complete(int32_t state) const {
    return states_.can_end(state) && !states_.can_go_on(state);
  }
  int32_t after(int32_t state, std::string_view text);
  const std::vector<bool>& allowed(int32_t state);
  std::vector<bool> find_allowed(int32_t state);

  std::shared_ptr<const TokenBytes> tokens_;
  GrammarStates states_;
  int32_t state_;
  bool is_stuck_ = false;
  std::unordered_map<int32_t, std::vector<bool>> masks_;
};

}  // namespace pyserve
