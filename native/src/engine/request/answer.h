// The answer of one request: samples tokens and turns them into text, until it ends.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/request/prepared_request.h"
#include "engine/request/token_sampler.h"
#include "llama/model/model.h"
#include "pyserve/request.h"
#include "text/output_text.h"
#include "text/thinking_budget.h"

namespace pyserve {

// It knows nothing of caches and steps: rows of logits in, deltas out. Ends at the model's own end,
// at a stop string or token where its grammar may end, where that does, and at its limit; says
// nothing after that.
// Thread: one at a time. Those of different requests may be used in parallel.
class RequestAnswer {
 public:
  // Takes from `prepared` how to sample and to think. At most `n_most` tokens are said. The model
  // must outlive it.
  RequestAnswer(const Model& model, PreparedRequest& prepared, TokenSpan prompt, int n_most);

  // An earlier run of the request has said this token: goes on after it.
  void repeat(Token token);

  // Adds to `delta` the next token by its row of logits and those that follow without a choice: the
  // grammar's, or the end of reasoning that was too long; with the last one the finish, whose
  // counts and times are left to others. False: the row is unusable, nothing is said.
  bool sample(std::span<float> row, SampleScratch& scratch, DeltaEvent& delta);
  // Why sample() found no token.
  ErrorInfo no_token_error() const;

  // The answer ends here; adds what was held back of its text.
  void end(FinishReason reason, DeltaEvent& delta);

  // How many tokens it may still say.
  int n_left() const { return n_most_ - n_said_; }

 private:
  void say(Token token, std::optional<TokenLogprob> logprob, bool could_end, DeltaEvent& delta);
  OutputText::Release show(Token token, std::optional<TokenLogprob> logprob);
  bool may_stop(std::string_view before);
  void say_all(const std::vector<Token>& tokens, DeltaEvent& delta);

  const Model& model_;
  const int n_most_;
  const int n_logprobs_;
  const bool ignores_eos_;
  const std::vector<Token> stop_tokens_;
  const int n_before_stop_;
  const bool shows_stop_;
  const std::vector<Token> thinking_end_;
  TokenSampler sampler_;
  OutputText output_;
  std::optional<GrammarMatcher> shown_;  // where in the grammar the released text ends
  ThinkingBudget thinking_;
  int n_said_ = 0;
};

}  // namespace pyserve
