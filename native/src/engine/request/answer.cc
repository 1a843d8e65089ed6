#include "engine/request/answer.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "engine/request/prompt_scores.h"

namespace pyserve {
namespace {

void add(OutputText::Release& released, DeltaEvent& delta) {
  delta.text += released.text;
  std::move(released.logprobs.begin(), released.logprobs.end(), std::back_inserter(delta.logprobs));
}

TokenSampler make_sampler(const Model& model, PreparedRequest& prepared, TokenSpan prompt) {
  const Request& request = prepared.request;
  BanRules rules;
  rules.allowed = request.sampling.allowed_token_ids;
  rules.sequences = std::move(prepared.banned_sequences);
  rules.ends = model.eog_tokens();
  rules.n_before_end = request.min_tokens;
  // In a grammar they are text until it may end.
  if (!prepared.grammar) {
    rules.ends.insert(rules.ends.end(), request.stop_token_ids.begin(),
                      request.stop_token_ids.end());
  }
  return TokenSampler(model, request.sampling, prompt, std::move(prepared.dry_breakers),
                      std::move(prepared.grammar), TokenBans(std::move(rules), model.n_vocab()));
}

}  // namespace

RequestAnswer::RequestAnswer(const Model& model, PreparedRequest& prepared, TokenSpan prompt,
                             int n_most)
    : model_(model),
      n_most_(n_most),
      n_logprobs_(prepared.request.n_logprobs),
      ignores_eos_(prepared.request.sampling.ignore_eos),
      stop_tokens_(prepared.request.stop_token_ids),
      n_before_stop_(prepared.request.min_tokens),
      shows_stop_(prepared.request.shows_stop),
      thinking_end_(std::move(prepared.thinking_end)),
      sampler_(make_sampler(model, prepared, prompt)),
      output_(std::move(prepared.request.stop), shows_stop_),
      shown_(std::move(prepared.shown_grammar)),
      thinking_(std::move(prepared.request.thinking)) {}

void RequestAnswer::repeat(Token token) {
  ++n_said_;
  sampler_.repeat(token);
  show(token, std::nullopt);
}

bool RequestAnswer::sample(std::span<float> row, SampleScratch& scratch, DeltaEvent& delta) {
  // 1. Reasoning that was too long ends instead.
  if (thinking_.is_used_up()) {
    const int n_tokens = delta.n_tokens;
    thinking_.end();
    say_all(thinking_end_, delta);
    if (delta.n_tokens > n_tokens) return true;
  }
  // 2. One token.
  const bool could_end = sampler_.can_end();
  const FusedSampler::Choice choice = sampler_.sample(row, n_logprobs_, scratch);
  if (choice.token < 0) return false;
  std::optional<TokenLogprob> logprob;
  if (n_logprobs_ >= 0) logprob = to_logprob(model_, choice.token, choice.logprobs);
  say(choice.token, std::move(logprob), could_end, delta);
  // 3. What the grammar leaves no choice about needs no step of its own.
  if (n_logprobs_ < 0 && !delta.finish) say_all(sampler_.forced_tokens(), delta);
  return true;
}

// As many of `tokens` as the grammar allows.
void RequestAnswer::say_all(const std::vector<Token>& tokens, DeltaEvent& delta) {
  for (const Token token : tokens) {
    const bool could_end = sampler_.can_end();
    if (delta.finish || !sampler_.accept(token)) return;
    say(token, std::nullopt, could_end, delta);
  }
}

// could_end: the answer might have ended before it.
void RequestAnswer::say(Token token, std::optional<TokenLogprob> logprob, bool could_end,
                        DeltaEvent& delta) {
  ++n_said_;
  ++delta.n_tokens;
  delta.tokens.push_back(token);
  // 1. A token ends the answer: it has no text and no logprob, unless it is to be shown.
  const bool is_stop = could_end && std::ranges::find(stop_tokens_, token) != stop_tokens_.end();
  const bool is_end = model_.is_eog(token) && !ignores_eos_;
  OutputText::Release out;
  if (is_stop ? shows_stop_ : !is_end) out = show(token, std::move(logprob));
  add(out, delta);
  // 2. A stop string.
  if (out.stop) {
    delta.finish.emplace();
    delta.finish->stop_string = std::move(out.stop);
    return;
  }
  if (is_stop || is_end) {
    end(FinishReason::kStop, delta);
    if (is_stop) delta.finish->stop_token = token;
    return;
  }
  // 3. All that the grammar describes has been said.
  if (sampler_.grammar() != nullptr && sampler_.grammar()->is_complete()) {
    end(FinishReason::kStop, delta);
    return;
  }
  // 4. The limit of the request or of the context.
  if (n_left() <= 0) end(FinishReason::kLength, delta);
}

// Adds the token's text, and releases what can be shown.
OutputText::Release RequestAnswer::show(Token token, std::optional<TokenLogprob> logprob) {
  const std::string piece = model_.piece(token);
  thinking_.feed(piece);
  OutputText::Release out = output_.feed(
      piece, std::move(logprob), [this](std::string_view before) { return may_stop(before); });
  if (shown_) shown_->accept_text(out.text);
  return out;
}

// Whether a stop string counts that follows `before`, which follows what was released.
bool RequestAnswer::may_stop(std::string_view before) {
  if (n_said_ <= n_before_stop_) return false;
  return !shown_ || shown_->can_end_after(before);
}

void RequestAnswer::end(FinishReason reason, DeltaEvent& delta) {
  OutputText::Release rest = output_.finish();
  add(rest, delta);
  delta.finish.emplace();
  delta.finish->reason = reason;
}

ErrorInfo RequestAnswer::no_token_error() const {
  if (sampler_.grammar() != nullptr) {
    const std::string reason = sampler_.grammar()->why_stuck();
    if (!reason.empty()) return {ErrorCode::kInvalidRequest, reason, "grammar", {}};
  }
  if (sampler_.has_bans()) {
    return {ErrorCode::kInvalidRequest,
            "allowed_token_ids, bad_words and min_tokens leave no token that may come next",
            "allowed_token_ids",
            {}};
  }
  return {ErrorCode::kNumeric,
          "the model gave NaN or infinity, or every token is banned by logit_bias",
          {},
          {}};
}

}  // namespace pyserve
