#include "engine/running.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace pyserve {
namespace {

// No tenant can choose a salt that makes its key another tenant's, or that of other adapters.
std::string make_cache_key(const Request& request) {
  std::string key;
  for (const auto& [adapter, scale] : request.adapters) {
    key += std::to_string(adapter) + '*' + std::to_string(std::bit_cast<uint32_t>(scale)) + ',';
  }
  return key + std::to_string(request.tenant.size()) + ':' + request.tenant + request.cache_salt;
}

}  // namespace

RunningRequest::RunningRequest(const Model& model, PreparedRequest prepared, int n_ctx)
    : model_(model),
      prepared_(std::move(prepared)),
      cache_key_(make_cache_key(prepared_.request)),
      n_ctx_(n_ctx),
      n_prompt_(static_cast<int>(prepared_.tokens.size())),
      scores_(model, n_prompt_, prepared_.request.n_prompt_logprobs),
      tokens_(std::move(prepared_.tokens)),
      sampler_(model, prepared_.request.sampling, tokens_, prepared_.dry_breakers,
               std::move(prepared_.grammar)),
      output_(prepared_.request.stop),
      thinking_(std::move(prepared_.request.thinking)) {
  for (const Token token : prepared_.request.said) {
    tokens_.push_back(token);
    sampler_.repeat(token);
    learn(token);
    const std::string piece = model_.piece(token);
    thinking_.feed(piece);
    output_.feed(piece, std::nullopt);
  }
}

void RunningRequest::start(SeqId seq_id, int n_computed) {
  seq_id_ = seq_id;
  n_computed_ = n_computed;
  if (started_at_) return;
  started_at_ = Clock::now();
  n_cached_ = n_computed;
}

void RunningRequest::preempt() {
  seq_id_ = -1;
  n_computed_ = 0;
  checked_.clear();
  was_preempted_ = true;
}

TokenSpan RunningRequest::tokens_to_share() const {
  const size_t n = is_scoring() ? scores_.n_spared() : tokens_.size() - 1;
  return tokens().first(n);
}

RunningView RunningRequest::view(int n_forked, int n_most) const {
  const auto cut = cuts_.upper_bound(n_computed_);
  const int n_end = cut == cuts_.end() ? n_known() : std::min(*cut, n_known());
  RunningView view;
  view.n_known = n_computed_ + std::min(n_end - n_computed_, n_most) - n_forked;
  view.n_computed = n_computed_ - n_forked;
  view.last_turn = last_turn_;
  view.was_preempted = was_preempted_;
  view.priority = priority();
  view.waited_ms = waited_ms();
  return view;
}

// The least of what max_tokens and the context leave.
int RunningRequest::n_answer_left() const {
  const int n_ctx_left = n_ctx_ - n_known();
  const int max_tokens = prepared_.request.max_tokens;
  return max_tokens < 0 ? n_ctx_left : std::min(n_ctx_left, max_tokens - (n_known() - n_prompt_));
}

int RunningRequest::n_draft_max() const {
  const bool has_cut = cuts_.upper_bound(n_computed_) != cuts_.end();
  if (!prepared_.draft || !is_answering() || n_known() - n_computed_ != 1 || has_cut) return 0;
  // The last token of an answer is not computed.
  return std::min(prepared_.draft->n_max(), n_answer_left() - 1);
}

Proposal RunningRequest::propose() const {
  const int n_max = n_draft_max();
  return n_max > 0 ? prepared_.draft->propose(n_max) : Proposal();
}

void RunningRequest::add_draft(const Proposal& proposal, int n_tokens) {
  checked_.clear();
  if (n_tokens <= 0) return;
  is_checking_known_ = proposal.is_known;
  checked_.assign(1, tokens_.back());
  checked_.insert(checked_.end(), proposal.tokens.begin(), proposal.tokens.begin() + n_tokens);
}

BatchItem RunningRequest::batch_item(int n_tokens) const {
  BatchItem item;
  item.seq_id = seq_id_;
  item.pos = n_computed_;
  item.tokens = checked_.empty() ? tokens().subspan(n_computed_, n_tokens) : TokenSpan(checked_);
  item.n_logits = n_logits(n_tokens);
  item.is_cancelled = &ticket().is_cancelled;
  return item;
}

int RunningRequest::n_logits(int n_tokens) const {
  if (is_scoring()) return n_tokens;
  if (!checked_.empty()) return static_cast<int>(checked_.size());
  return n_computed_ + n_tokens == n_known() ? 1 : 0;
}

std::optional<DeltaEvent> RunningRequest::take_logits(int n_logits, const LogitRows& rows,
                                                      SampleScratch& scratch) {
  DeltaEvent delta;
  // 1. Scores of the prompt.
  if (is_scoring() &&
      !scores_.take(tokens_, n_computed_, n_logits, rows, scratch, delta.prompt_logprobs)) {
    return std::nullopt;
  }
  if (n_computed_ < n_known()) return delta;
  // 2. No answer is wanted.
  if (!first_token_at_) first_token_at_ = Clock::now();
  if (prepared_.request.max_tokens == 0) {
    end(FinishReason::kLength, delta);
    return delta;
  }
  // 3. The next token, and those after what was right of the draft.
  const std::vector<Token> checked = std::exchange(checked_, {});
  const int n_checked = std::max(static_cast<int>(checked.size()) - 1, 0);
  int n_right = 0;
  while (true) {
    if (!sample(rows(n_logits - 1 - n_checked + n_right), scratch, delta)) return std::nullopt;
    if (delta.finish || n_right == n_checked) break;
    if (n_known() != n_computed_ + 1 || tokens_.back() != checked[n_right + 1]) break;
    ++n_right;
    ++n_computed_;
  }
  if (is_checking_known_) {
    n_draft_accepted_ += n_right;
    n_draft_rejected_ += n_checked - n_right;
  }
  return delta;
}

void RunningRequest::learn(Token token) {
  if (prepared_.draft) prepared_.draft->accept(token);
}

// Adds one token and what a grammar dictates after it, or ends thoughts that were too long; false:
// the row is unusable.
bool RunningRequest::sample(std::span<float> row, SampleScratch& scratch, DeltaEvent& delta) {
  if (thinking_.is_used_up()) {
    const int n_tokens = delta.n_tokens;
    thinking_.end();
    say_all(prepared_.thinking_end, delta);
    if (delta.n_tokens > n_tokens) return true;
  }
  const int n_logprobs = prepared_.request.n_logprobs;
  const FusedSampler::Choice choice = sampler_.sample(row, n_logprobs, scratch);
  if (choice.token < 0) return false;
  tokens_.push_back(choice.token);
  learn(choice.token);
  std::optional<TokenLogprob> logprob;
  if (n_logprobs >= 0) logprob = to_logprob(model_, choice.token, choice.logprobs);
  say(choice.token, std::move(logprob), delta);
  if (n_logprobs < 0) say_forced(delta);
  return true;
}

// What the grammar leaves no choice about needs no step of its own.
void RunningRequest::say_forced(DeltaEvent& delta) {
  if (!delta.finish) say_all(sampler_.forced_tokens(), delta);
}

// As many of `tokens` as the grammar allows.
void RunningRequest::say_all(const std::vector<Token>& tokens, DeltaEvent& delta) {
  for (const Token token : tokens) {
    if (delta.finish || !sampler_.accept(token)) return;
    tokens_.push_back(token);
    learn(token);
    say(token, std::nullopt, delta);
  }
}

void RunningRequest::say(Token token, std::optional<TokenLogprob> logprob, DeltaEvent& delta) {
  ++delta.n_tokens;
  delta.tokens.push_back(token);
  // 1. The model ends its answer: the token has no text and no logprob.
  if (model_.is_eog(token) && !prepared_.request.sampling.ignore_eos) {
    end(FinishReason::kStop, delta);
    return;
  }
  const std::string piece = model_.piece(token);
  thinking_.feed(piece);
  OutputText::Release out = output_.feed(piece, std::move(logprob));
  delta.text += out.text;
  std::move(out.logprobs.begin(), out.logprobs.end(), std::back_inserter(delta.logprobs));
  // 2. A stop string.
  if (out.stop) {
    delta.finish = make_finish(FinishReason::kStop);
    delta.finish->stop_string = std::move(out.stop);
    return;
  }
  // 3. All that the grammar describes has been said.
  if (sampler_.grammar() != nullptr && sampler_.grammar()->is_complete()) {
    end(FinishReason::kStop, delta);
    return;
  }
  // 4. The limit of the request or of the context.
  const int max_tokens = prepared_.request.max_tokens;
  if ((max_tokens >= 0 && n_known() - n_prompt_ >= max_tokens) || n_known() >= n_ctx_) {
    end(FinishReason::kLength, delta);
  }
}

void RunningRequest::end(FinishReason reason, DeltaEvent& delta) {
  OutputText::Release rest = output_.finish();
  delta.text += rest.text;
  std::move(rest.logprobs.begin(), rest.logprobs.end(), std::back_inserter(delta.logprobs));
  delta.finish = make_finish(reason);
}

ErrorInfo RunningRequest::no_token_error() const {
  if (sampler_.grammar() != nullptr) {
    const std::string reason = sampler_.grammar()->why_stuck();
    if (!reason.empty()) return {ErrorCode::kInvalidRequest, reason, "grammar", {}};
  }
  return {ErrorCode::kNumeric,
          "the model gave NaN or infinity, or every token is banned by logit_bias",
          {},
          {}};
}

DeltaEvent RunningRequest::finish_with(std::vector<float> embedding) {
  first_token_at_ = Clock::now();
  DeltaEvent delta;
  delta.embedding = std::move(embedding);
  delta.finish = make_finish(FinishReason::kStop);
  return delta;
}

Finish RunningRequest::make_finish(FinishReason reason) const {
  Finish finish;
  finish.reason = reason;
  finish.n_prompt_tokens = n_prompt_;
  finish.n_completion_tokens = n_known() - n_prompt_;
  finish.n_cached_tokens = n_cached_;
  finish.n_draft_accepted = n_draft_accepted_;
  finish.n_draft_rejected = n_draft_rejected_;
  finish.queue_ms = elapsed_ms(ticket().submitted_at, *started_at_);
  finish.prompt_ms = elapsed_ms(*started_at_, *first_token_at_);
  finish.decode_ms = elapsed_ms(*first_token_at_, Clock::now());
  return finish;
}

}  // namespace pyserve
