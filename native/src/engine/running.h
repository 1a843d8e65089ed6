// One request on the engine thread: what it knows, what is computed, what it has said.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/registry.h"
#include "engine/token_sampler.h"
#include "llama/model.h"
#include "pyserve/request.h"
#include "sched/plan.h"
#include "text/output_text.h"

namespace pyserve {

// A request whose prompt is tokens. Goes from the prompt thread to the engine thread.
struct PreparedRequest {
  std::shared_ptr<Ticket> ticket;
  Request request;            // its prompt is spent
  std::vector<Token> tokens;  // at least one, at most n_ctx - 1
};

// Thread: engine thread only.
class RunningRequest {
 public:
  RunningRequest(const Model& model, PreparedRequest prepared, int n_ctx);

  // Takes a place in the KV cache where `n_computed` leading tokens already are.
  void start(SeqId seq_id, int n_computed);
  // Loses its place; all tokens are kept and will be computed again.
  void preempt();
  void advance(int n_tokens) { n_computed_ += n_tokens; }

  // Makes a step end at `n_tokens`, when it is not yet past it.
  void add_cut(int n_tokens) { cuts_.insert(n_tokens); }
  // A step has ended at a cut.
  bool is_at_cut() const { return cuts_.contains(n_computed_); }

  // Samples the next token from the logits after the last known one and appends it.
  // Returns what the client gets; nullopt when the row cannot be sampled.
  std::optional<DeltaEvent> sample(std::span<float> logits, SampleScratch& scratch);

  const Ticket& ticket() const { return *prepared_.ticket; }
  const std::string& tenant() const { return prepared_.request.tenant; }
  SeqId seq_id() const { return seq_id_; }
  int n_prompt() const { return n_prompt_; }
  int n_computed() const { return n_computed_; }
  int n_known() const { return static_cast<int>(tokens_.size()); }
  int n_cached() const { return n_cached_; }
  bool was_preempted() const { return was_preempted_; }
  bool is_answering() const { return n_known() > n_prompt_; }
  TokenSpan tokens() const { return tokens_; }
  // The last token is always computed: its logits are what the request is about.
  TokenSpan tokens_to_share() const { return tokens().first(tokens_.size() - 1); }
  TokenSpan computed_tokens() const { return tokens().first(n_computed_); }
  // Who may share: requests with the same key.
  const std::string& cache_key() const { return cache_key_; }
  // What the planner may do: up to the next cut. The first `n_forked` cells are not its own.
  RunningView view(int n_forked) const;

 private:
  std::optional<TokenLogprob> make_logprob(const FusedSampler::Choice& choice) const;
  DeltaEvent make_delta(Token token, std::optional<TokenLogprob> logprob);
  Finish make_finish(FinishReason reason) const;

  const Model& model_;
  PreparedRequest prepared_;
  const std::string cache_key_;
  const int n_ctx_;
  const int n_prompt_;
  std::vector<Token> tokens_;  // prompt, then answer
  TokenSampler sampler_;
  OutputText output_;
  SeqId seq_id_ = -1;
  int n_computed_ = 0;
  int n_cached_ = 0;
  std::set<int> cuts_;
  bool was_preempted_ = false;
  std::optional<TimePoint> started_at_;
  std::optional<TimePoint> first_token_at_;
};

}  // namespace pyserve
