// One request on the engine thread: what it knows, what is computed, what it has said.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/prompt_scores.h"
#include "engine/registry.h"
#include "engine/token_sampler.h"
#include "llama/context.h"
#include "llama/model.h"
#include "pyserve/request.h"
#include "sched/draft.h"
#include "sched/plan.h"
#include "text/output_text.h"
#include "text/thinking_budget.h"

namespace pyserve {

// A request whose prompt is tokens. Goes from the prompt thread to the engine thread.
struct PreparedRequest {
  std::shared_ptr<Ticket> ticket;
  Request request;             // its prompt is spent
  std::vector<Token> tokens;   // at least one, at most n_ctx - 1, or n_ctx for an embedding
  std::optional<Draft> draft;  // none: nothing is drafted
  std::shared_ptr<const DryBreakers> dry_breakers;
  std::optional<GrammarMatcher> grammar;
  std::vector<Token> thinking_end;  // said when the budget of thoughts is used up
};

// Thread: engine thread only; take_logits() of different requests may run in parallel.
class RunningRequest {
 public:
  RunningRequest(const Model& model, PreparedRequest prepared, int n_ctx);

  // Takes a place in the KV cache where `n_computed` leading tokens already are.
  void start(SeqId seq_id, int n_computed);
  // Loses its place; all tokens are kept and will be computed again.
  void preempt();
  // Its turn to decode was the `n`th of all.
  void set_turn(int64_t n) { last_turn_ = n; }

  // Makes a step end at `n_tokens`, when it is not yet past it.
  void add_cut(int n_tokens) { cuts_.insert(n_tokens); }
  // A step has ended at a cut.
  bool is_at_cut() const { return cuts_.contains(n_computed_); }

  // How many tokens ahead a step may check. Only a request that decodes its last token does.
  int n_draft_max() const;
  // What probably comes next, because it was said before: at most n_draft_max() tokens.
  Proposal propose() const;
  // The next step checks the first `n_tokens` of these, maybe none, after the one it computes.
  void add_draft(const Proposal& proposal, int n_tokens);

  // The next `n_tokens` as a step computes them.
  BatchItem batch_item(int n_tokens) const;
  // Rows of logits that a step of `n_tokens` needs: of each of them to score the prompt, of the
  // last one to go on, else none. They are the last ones of the step.
  int n_logits(int n_tokens) const;
  // The step is done. What was right of the draft is added by take_logits().
  void advance(int n_tokens) { n_computed_ += n_tokens; }

  // After advance(), when the step had logits: scores the prompt, and samples the next token when
  // all known ones are computed. Returns what the client gets; nullopt when a row is unusable.
  std::optional<DeltaEvent> take_logits(int n_logits, const LogitRows& rows,
                                        SampleScratch& scratch);

  // Why take_logits() found no token.
  ErrorInfo no_token_error() const;

  // The last event of a request for the vector of its prompt. REQUIRES: start() was called.
  DeltaEvent finish_with(std::vector<float> embedding);

  const Ticket& ticket() const { return *prepared_.ticket; }
  const AdapterSet& adapters() const { return prepared_.request.adapters; }
  const std::string& tenant() const { return prepared_.request.tenant; }
  int priority() const { return prepared_.request.priority; }
  double deadline_ms() const { return prepared_.request.deadline_ms; }
  double waited_ms() const { return elapsed_ms(ticket().submitted_at, Clock::now()); }
  bool wants_embedding() const { return prepared_.request.wants_embedding; }
  bool is_deterministic() const { return prepared_.request.is_deterministic; }
  SeqId seq_id() const { return seq_id_; }
  int n_prompt() const { return n_prompt_; }
  int n_said() const { return static_cast<int>(prepared_.request.said.size()); }
  int n_computed() const { return n_computed_; }
  int n_known() const { return static_cast<int>(tokens_.size()); }
  int n_cached() const { return n_cached_; }
  bool was_preempted() const { return was_preempted_; }
  // A step of `n_tokens` decodes: they are no part of its prompt.
  bool is_decode_of(int n_tokens) const { return is_answering() && n_tokens == 1; }
  bool is_answering() const { return n_known() > n_prompt_; }
  // Some tokens of the prompt still have to be scored.
  bool is_scoring() const { return scores_.is_open(); }
  TokenSpan tokens() const { return tokens_; }
  // The last token is always computed: its logits are what the request is about. So are those
  // before tokens that have no score yet.
  TokenSpan tokens_to_share() const;
  TokenSpan computed_tokens() const { return tokens().first(n_computed_); }
  // Who may share: requests with the same key.
  const std::string& cache_key() const { return cache_key_; }
  // What the planner may do: up to the next cut, and no more than `n_most` tokens.
  // The first `n_forked` cells are not its own.
  RunningView view(int n_forked, int n_most) const;

 private:
  int n_answer_left() const;
  void learn(Token token);
  bool sample(std::span<float> row, SampleScratch& scratch, DeltaEvent& delta);
  void say(Token token, std::optional<TokenLogprob> logprob, DeltaEvent& delta);
  void say_forced(DeltaEvent& delta);
  void say_all(const std::vector<Token>& tokens, DeltaEvent& delta);
  void end(FinishReason reason, DeltaEvent& delta);
  Finish make_finish(FinishReason reason) const;

  const Model& model_;
  PreparedRequest prepared_;
  const std::string cache_key_;
  const int n_ctx_;
  const int n_prompt_;
  PromptScores scores_;
  std::vector<Token> tokens_;  // prompt, then answer
  TokenSampler sampler_;
  OutputText output_;
  ThinkingBudget thinking_;
  std::vector<Token> checked_;  // the last known token and the draft that the step checks; or empty
  bool is_checking_known_ = false;  // that draft comes from the known text
  int n_draft_accepted_ = 0;
  int n_draft_rejected_ = 0;
  SeqId seq_id_ = -1;
  int n_computed_ = 0;
  int n_cached_ = 0;
  int64_t last_turn_ = 0;
  std::set<int> cuts_;
  bool was_preempted_ = false;
  std::optional<TimePoint> started_at_;
  std::optional<TimePoint> first_token_at_;
};

}  // namespace pyserve
