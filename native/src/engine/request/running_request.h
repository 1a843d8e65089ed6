// One request on the engine thread: its parameters, its progress and its answer.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/request/answer.h"
#include "engine/request/prepared_request.h"
#include "engine/request/progress.h"
#include "engine/request/prompt_scores.h"
#include "llama/context/context.h"
#include "llama/model/model.h"
#include "pyserve/request.h"
#include "sched/admission/start_forecast.h"
#include "sched/draft/draft.h"

namespace pyserve {

// What the tokens of a step took. gap_ms: for each of them, since the answer's token before; < 0:
// they are its first.
struct TokenCost {
  int n_tokens = 0;
  double gap_ms = -1;
  DraftKind draft_kind = DraftKind::kKnown;
  int n_drafted = 0;
  int n_accepted = 0;
};

// Joins its progress and its answer, which do not know each other: which logits a step has to
// compute for the answer, and what the tokens of the answer mean for the steps after it.
// Thread: engine thread only; take_logits() of different requests may run in parallel.
class RunningRequest {
 public:
  // The model must outlive it.
  RunningRequest(const Model& model, PreparedRequest prepared, int n_ctx);

  const Ticket& ticket() const { return *prepared_.ticket; }
  const Request& params() const { return prepared_.request; }  // its prompt is spent
  // Since the client asked.
  double waited_ms() const { return elapsed_ms(ticket().submitted_at, Clock::now()); }
  // Who may share prefixes: requests with the same key.
  const std::string& cache_key() const { return cache_key_; }

  // Prefixes on disk were looked for.
  bool has_asked_disk() const { return has_asked_disk_; }
  void set_asked_disk() { has_asked_disk_ = true; }

  RequestProgress& progress() { return progress_; }
  const RequestProgress& progress() const { return progress_; }

  // The next tokens are computed with logits: they have to be scored, or the client wants the rows.
  bool is_scoring() const { return scores_.is_open() || is_telling_rows(); }
  // The last token is always computed: its logits are what the request is about. So are those
  // before tokens that have no score yet.
  TokenSpan tokens_to_share() const;

  // What it has yet to do. n_cells: those it gives back, or needs to start.
  LoadView load(int n_missing, int n_cells) const;

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
  // After progress().advance(), when the step had logits: scores the prompt, and samples the next
  // token when all known ones are computed. Advances by what was right of the draft. Returns what
  // the client gets; nullopt when a row is unusable.
  std::optional<DeltaEvent> take_logits(int n_logits, const LogitRows& rows,
                                        SampleScratch& scratch);
  // What the last take_logits() cost, which gave `n_tokens` to the client.
  TokenCost take_cost(int n_tokens);
  // Why take_logits() found no token.
  ErrorInfo no_token_error() const { return answer_.no_token_error(); }

  // Its time is over: it ends, by finish_early() if it has begun to answer.
  bool is_out_of_time() const;
  // Its client has tokens of it, maybe of an engine before this one.
  bool has_begun_to_answer() const { return first_token_at_ || !params().said.empty(); }
  // Where it is, once it has started; its place is known to others.
  ProgressEvent tell_progress();
  // The last of these, once, when its prompt is computed and it wants to know.
  std::optional<ProgressEvent> last_progress();
  // The last event of an answer that ends where it is. REQUIRES: has_begun_to_answer().
  DeltaEvent finish_early();

  // The last event of a request for the numbers of its prompt. REQUIRES: progress().start() was
  // called.
  DeltaEvent finish_with(std::vector<float> embedding);

 private:
  bool is_telling_rows() const;
  void tell_rows(int n_logits, const LogitRows& rows, DeltaEvent& delta);
  bool sample(std::span<float> row, SampleScratch& scratch, DeltaEvent& delta);
  void learn(Token token);
  void count(Finish& finish) const;

  PreparedRequest prepared_;
  const std::string cache_key_;
  RequestProgress progress_;
  PromptScores scores_;
  const int first_row_;  // the rows of the prompt's tokens from here on are for the client
  int next_row_;         // those before it were told
  RequestAnswer answer_;
  DraftKind draft_kind_ = DraftKind::kKnown;  // of the draft that is checked
  int n_draft_accepted_ = 0;                  // tokens of drafts from the known text
  int n_draft_rejected_ = 0;
  int n_step_drafted_ = 0;  // of the last step
  int n_step_accepted_ = 0;
  std::optional<TimePoint> first_token_at_;
  std::optional<TimePoint> last_token_at_;
  int n_told_ = 0;  // computed tokens of the prompt that the client knows of
  bool has_told_last_ = false;
  bool has_asked_disk_ = false;
};

}  // namespace pyserve
