#include "engine/request/running_request.h"

#include <algorithm>
#include <utility>

#include "engine/request/cache_key.h"

namespace pyserve {
namespace {

// Numbers of the whole prompt come without rows.
int n_rows_of(const Request& request) { return request.is_pooled() ? 0 : request.n_logit_rows; }

// The least of what max_tokens and the context leave.
int max_answer(const Request& request, int n_prompt, int n_ctx) {
  const int n_most = n_ctx - n_prompt;
  return request.max_tokens < 0 ? n_most : std::min(n_most, request.max_tokens);
}

}  // namespace

RunningRequest::RunningRequest(const Model& model, PreparedRequest prepared, int n_ctx)
    : prepared_(std::move(prepared)),
      cache_key_(
          make_cache_key(params(), [&model](int i) { return model.adapters().at(i).identity(); })),
      progress_(std::move(prepared_.tokens)),
      scores_(model, progress_.n_prompt(), params().n_prompt_logprobs),
      first_row_(progress_.n_prompt() - n_rows_of(params())),
      next_row_(first_row_),
      answer_(model, prepared_, progress_.tokens(),
              max_answer(params(), progress_.n_prompt(), n_ctx)) {
  if (first_row_ < progress_.n_prompt()) progress_.add_cut(first_row_);
  for (const Token token : params().said) {
    answer_.repeat(token);
    learn(token);
  }
}

TokenSpan RunningRequest::tokens_to_share() const {
  const int n_spared = scores_.is_open() ? scores_.n_spared() : progress_.n_known() - 1;
  const bool has_rows = next_row_ < progress_.n_prompt();
  return progress_.tokens().first(has_rows ? std::min(n_spared, next_row_) : n_spared);
}

bool RunningRequest::is_telling_rows() const {
  return next_row_ < progress_.n_prompt() && progress_.n_computed() >= first_row_;
}

LoadView RunningRequest::load(int n_missing, int n_cells) const {
  LoadView load;
  load.n_prompt = n_missing > 1 || !progress_.is_answering() ? n_missing : 0;
  load.n_said = progress_.n_answer();
  load.n_left = answer_.n_left();
  load.n_cells = n_cells;
  return load;
}

int RunningRequest::n_draft_max() const {
  // Rows of a draft would be taken for the prompt's.
  const bool has_rows = next_row_ < progress_.n_prompt();
  if (!prepared_.draft || !progress_.can_draft() || has_rows) return 0;
  // The last token of an answer is not computed.
  return std::min(prepared_.draft->n_max(), answer_.n_left() - 1);
}

Proposal RunningRequest::propose() const {
  const int n_max = n_draft_max();
  return n_max > 0 ? prepared_.draft->propose(n_max) : Proposal();
}

void RunningRequest::add_draft(const Proposal& proposal, int n_tokens) {
  progress_.set_draft(TokenSpan(proposal.tokens).first(n_tokens));
  if (n_tokens > 0) draft_kind_ = proposal.kind;
}

BatchItem RunningRequest::batch_item(int n_tokens) const {
  BatchItem item;
  item.seq_id = progress_.seq_id();
  item.pos = progress_.n_computed();
  item.tokens = progress_.next_tokens(n_tokens);
  item.n_logits = n_logits(n_tokens);
  item.is_cancelled = &ticket().is_cancelled;
  item.gives_way = params().is_background;
  return item;
}

int RunningRequest::n_logits(int n_tokens) const {
  // In the solo lane a step may begin before the first of them.
  const bool has_rows =
      next_row_ < progress_.n_prompt() && progress_.n_computed() + n_tokens > first_row_;
  if (scores_.is_open() || has_rows) return n_tokens;
  return n_tokens == progress_.n_missing() ? 1 + progress_.n_draft() : 0;
}

std::optional<DeltaEvent> RunningRequest::take_logits(int n_logits, const LogitRows& rows,
                                                      SampleScratch& scratch) {
  DeltaEvent delta;
  // 1. Rows and scores of the prompt.
  tell_rows(n_logits, rows, delta);
  if (scores_.is_open() && !scores_.take(progress_.tokens(), progress_.n_computed(), n_logits, rows,
                                         scratch, delta.prompt_logprobs)) {
    return std::nullopt;
  }
  if (progress_.n_missing() > 0) return delta;
  // 2. No answer is wanted.
  if (!first_token_at_) first_token_at_ = Clock::now();
  if (params().max_tokens == 0) {
    answer_.end(FinishReason::kLength, delta);
    count(*delta.finish);
    return delta;
  }
  // 3. The next token, and those after what was right of the draft.
  const std::vector<Token> draft = progress_.take_draft();
  const auto n_draft = static_cast<int>(draft.size());
  int n_right = 0;
  while (true) {
    if (!sample(rows(n_logits - 1 - n_draft + n_right), scratch, delta)) return std::nullopt;
    if (delta.finish || n_right == n_draft) break;
    if (progress_.n_missing() != 1 || progress_.tokens().back() != draft[n_right]) break;
    ++n_right;
    progress_.advance(1);
  }
  n_step_drafted_ = n_draft;
  n_step_accepted_ = n_right;
  // NOTE: the finish leaves out the draft of its own step.
  if (delta.finish) count(*delta.finish);
  if (!delta.finish && params().wants_timings) count(delta.so_far.emplace());
  if (draft_kind_ == DraftKind::kKnown) {
    n_draft_accepted_ += n_right;
    n_draft_rejected_ += n_draft - n_right;
  }
  return delta;
}

// Adds those of the prompt's tokens that the step has computed and the client wants.
void RunningRequest::tell_rows(int n_logits, const LogitRows& rows, DeltaEvent& delta) {
  const int first = progress_.n_computed() - n_logits;
  const int end = std::min(progress_.n_computed(), progress_.n_prompt());
  for (next_row_ = std::max(next_row_, first); next_row_ < end; ++next_row_) {
    const std::span<const float> row = rows(next_row_ - first);
    delta.logits.insert(delta.logits.end(), row.begin(), row.end());
  }
}

TokenCost RunningRequest::take_cost(int n_tokens) {
  TokenCost cost{n_tokens, -1, draft_kind_, std::exchange(n_step_drafted_, 0),
                 std::exchange(n_step_accepted_, 0)};
  if (n_tokens == 0) return cost;
  const TimePoint now = Clock::now();
  if (last_token_at_) cost.gap_ms = elapsed_ms(*last_token_at_, now) / n_tokens;
  last_token_at_ = now;
  return cost;
}

// Adds what the answer says next; false: the row is unusable.
bool RunningRequest::sample(std::span<float> row, SampleScratch& scratch, DeltaEvent& delta) {
  const size_t n_before = delta.tokens.size();
  if (!answer_.sample(row, scratch, delta)) return false;
  for (size_t i = n_before; i < delta.tokens.size(); ++i) learn(delta.tokens[i]);
  return true;
}

// The answer goes on with `token`.
void RunningRequest::learn(Token token) {
  progress_.append(token);
  if (prepared_.draft) prepared_.draft->accept(token);
}

bool RunningRequest::is_out_of_time() const {
  if (params().max_total_ms > 0 && waited_ms() >= params().max_total_ms) return true;
  return params().max_decode_ms > 0 && first_token_at_ &&
         elapsed_ms(*first_token_at_, Clock::now()) >= params().max_decode_ms;
}

ProgressEvent RunningRequest::tell_progress() {
  ProgressEvent event;
  event.n_prompt_tokens = progress_.n_prompt();
  if (!progress_.started_at()) return event;
  const int n_computed = std::min(progress_.n_computed(), progress_.n_prompt());
  event.n_cached_tokens = progress_.n_cached();
  event.n_computed_tokens = n_told_ = std::max(n_told_, n_computed);
  event.prompt_ms = elapsed_ms(*progress_.started_at(), Clock::now());
  if (const int n_new = n_computed - progress_.n_cached(); n_new > 0) {
    event.eta_ms = event.prompt_ms / n_new * (progress_.n_prompt() - n_computed);
  }
  return event;
}

std::optional<ProgressEvent> RunningRequest::last_progress() {
  if (!params().wants_progress || !first_token_at_ || has_told_last_) return std::nullopt;
  has_told_last_ = true;
  ProgressEvent event = tell_progress();
  event.prompt_ms = elapsed_ms(*progress_.started_at(), *first_token_at_);
  event.n_computed_tokens = event.n_prompt_tokens;
  event.eta_ms = 0;
  return event;
}

DeltaEvent RunningRequest::finish_early() {
  DeltaEvent delta;
  answer_.end(FinishReason::kLength, delta);
  count(*delta.finish);
  return delta;
}

DeltaEvent RunningRequest::finish_with(std::vector<float> embedding) {
  first_token_at_ = Clock::now();
  DeltaEvent delta;
  delta.embedding = std::move(embedding);
  delta.finish.emplace();
  count(*delta.finish);
  return delta;
}

void RunningRequest::count(Finish& finish) const {
  finish.n_prompt_tokens = progress_.n_prompt();
  finish.n_completion_tokens = progress_.n_answer();
  finish.n_cached_tokens = progress_.n_cached();
  finish.n_draft_accepted = n_draft_accepted_;
  finish.n_draft_rejected = n_draft_rejected_;
  // One that goes on with an answer may end before either.
  const TimePoint now = Clock::now();
  const TimePoint started_at = progress_.started_at().value_or(now);
  const TimePoint first_token_at = first_token_at_.value_or(now);
  finish.queue_ms = elapsed_ms(ticket().submitted_at, started_at);
  finish.prompt_ms = elapsed_ms(started_at, first_token_at);
  finish.decode_ms = elapsed_ms(first_token_at, now);
}

}  // namespace pyserve
