// The budget of an answer's reasoning: counts its tokens, and says when it must end.
#pragma once

#include <string>
#include <string_view>

#include "pyserve/request.h"
#include "text/utf8.h"

namespace pyserve {

// Reasoning stands between two tags at the beginning of an answer; the prompt may end with the
// first tag. It is over for good when the second one has been said. Thread: none of its own.
class ThinkingBudget {
 public:
  explicit ThinkingBudget(ThinkingLimit limit);

  // The answer goes on with a token of this text.
  void feed(std::string_view piece);
  // The reasoning must be ended now. Never inside a character.
  bool is_used_up() const;
  // It has been ended.
  void end() { state_ = State::kAfter; }

 private:
  enum class State { kBefore, kInside, kAfter };

  void enter(std::string_view text);

  const ThinkingLimit limit_;
  State state_;
  std::string seen_;  // before: the answer; inside: the end of it that may begin the second tag
  Utf8Assembler characters_;
  int n_tokens_ = 0;
};

}  // namespace pyserve
