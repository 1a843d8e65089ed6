// The progress of one request: known and computed tokens, its place in the KV cache, its turns.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "pyserve/types.h"
#include "sched/step/plan.h"

namespace pyserve {

// Computed tokens catch up with known ones, those of the prompt and of the answer alike:
//
//   [0, n_computed)        have their cells
//   [n_computed, n_known)  the next steps compute these
//   after n_known          the next step checks a draft, maybe
//
// Thread: one at a time; the engine thread, or one that samples this request.
class RequestProgress {
 public:
  // REQUIRES: !prompt.empty().
  explicit RequestProgress(std::vector<Token> prompt);

  // Takes a place in the KV cache where `n_computed` leading tokens already are.
  void start(SeqId seq_id, int n_computed);
  // Loses its place and its draft; all tokens are kept and will be computed again.
  void preempt();
  SeqId seq_id() const { return seq_id_; }  // < 0: it has no place
  bool was_preempted() const { return was_preempted_; }
  // How many tokens were there at its first start, and when that was.
  int n_cached() const { return n_cached_; }
  std::optional<TimePoint> started_at() const { return started_at_; }

  // The answer goes on with `token`.
  void append(Token token) { tokens_.push_back(token); }
  TokenSpan tokens() const { return tokens_; }
  TokenSpan computed_tokens() const { return tokens().first(n_computed_); }
  int n_prompt() const { return n_prompt_; }
  int n_known() const { return static_cast<int>(tokens_.size()); }
  int n_computed() const { return n_computed_; }
  int n_missing() const { return n_known() - n_computed_; }
  int n_answer() const { return n_known() - n_prompt_; }
  bool is_answering() const { return n_answer() > 0; }

  // Its turn to decode was the `n`th of all.
  void set_turn(int64_t n) { last_turn_ = n; }
  // Makes a step end at `n_tokens`, when it is not yet past it.
  void add_cut(int n_tokens) { cuts_.insert(n_tokens); }
  // A step has ended at a cut.
  bool is_at_cut() const { return cuts_.contains(n_computed_); }
  // What the planner may do: up to the next cut, and no more than `n_most` tokens.
  // The first `n_forked` cells are not its own.
  RunningView view(int n_forked, int n_most) const;
  // A step of `n_tokens` decodes: they are no part of its prompt.
  bool is_decode_of(int n_tokens) const { return is_answering() && n_tokens == 1; }

  // The next step can check a draft: it decodes the last known token, and need not end there.
  bool can_draft() const;
  // The next step checks these tokens, maybe none, after the last known one.
  void set_draft(TokenSpan draft);
  int n_draft() const { return checked_.empty() ? 0 : static_cast<int>(checked_.size()) - 1; }
  // Ends the check: the tokens that were checked, if any.
  std::vector<Token> take_draft();

  // The next `n_tokens`, or the last known one and the draft. Valid until tokens or draft change.
  TokenSpan next_tokens(int n_tokens) const;
  // So many are computed now.
  void advance(int n_tokens) { n_computed_ += n_tokens; }

 private:
  bool has_cut_ahead() const { return cuts_.upper_bound(n_computed_) != cuts_.end(); }

  std::vector<Token> tokens_;  // prompt, then answer
  const int n_prompt_;
  SeqId seq_id_ = -1;
  int n_computed_ = 0;
  int n_cached_ = 0;
  std::optional<TimePoint> started_at_;
  bool was_preempted_ = false;
  int64_t last_turn_ = 0;
  std::set<int> cuts_;
  std::vector<Token> checked_;  // the last known token and the draft; empty without one
};

}  // namespace pyserve
