// Sparse changes of a row of logits: biases and penalties.
#pragma once

#include <deque>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "pyserve/request.h"
#include "pyserve/types.h"
#include "sample/edits/dry.h"

namespace pyserve {

// Changes only the logits of biased and of recently seen tokens, and can take the changes back.
// Order: biases, repeat penalty (prompt and answer), frequency and presence penalty (answer alone),
// DRY.
// Thread: one at a time.
class LogitEdits {
 public:
  // `biases` are added; `n_window` tokens of prompt and answer get the repeat penalty.
  LogitEdits(std::vector<std::pair<Token, float>> biases, const SamplingParams& params,
             int n_window, TokenSpan prompt, std::optional<DryPenalty> dry = std::nullopt);

  // Remembers a token of the answer.
  void accept(Token token);

  // Edits `row` and returns the edited ids, each once or more. REQUIRES: undo() since the last
  // apply.
  std::span<const Token> apply(std::span<float> row);
  // Restores what apply() changed, bit by bit.
  void undo(std::span<float> row);

 private:
  void push_window(Token token);
  void edit(std::span<float> row, Token token, float value);

  std::vector<std::pair<Token, float>> biases_;
  float repeat_penalty_;
  float frequency_penalty_;
  float presence_penalty_;
  size_t n_window_;  // 0 = no repeat penalty
  std::deque<Token> window_;
  std::unordered_map<Token, int> in_window_;
  std::unordered_map<Token, int> in_answer_;
  std::optional<DryPenalty> dry_;
  std::vector<Token> edited_;
  std::vector<float> originals_;
};

}  // namespace pyserve
