#include "engine/request/answer.h"

#include <iterator>
#include <utility>

#include "engine/request/prompt_scores.h"

namespace pyserve {
namespace {

void add(OutputText::Release& released, DeltaEvent& delta) {
  delta.text += released.text;
  std::move(released.logprobs.begin(), released.logprobs.end(), std::back_inserter(delta.logprobs));
}

}  // namespace

RequestAnswer::RequestAnswer(const Model& model, PreparedRequest& prepared, TokenSpan prompt,
                             int n_most)
    : model_(model),
      n_most_(n_most),
      n_logprobs_(prepared.request.n_logprobs),
      ignores_eos_(prepared.request.sampling.ignore_eos),
      thinking_end_(std::move(prepared.thinking_end)),
      sampler_(model, prepared.request.sampling, prompt, std::move(prepared.dry_breakers),
               std::move(prepared.grammar)),
      output_(std::move(prepared.request.stop)),
      thinking_(std::move(prepared.request.thinking)) {}

void RequestAnswer::repeat(Token token) {
  ++n_said_;
  sampler_.repeat(token);
  const std::string piece = model_.piece(token);
  thinking_.feed(piece);
  output_.feed(piece, std::nullopt);
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
  const FusedSampler::Choice choice = sampler_.sample(row, n_logprobs_, scratch);
  if (choice.token < 0) return false;
  std::optional<TokenLogprob> logprob;
  if (n_logprobs_ >= 0) logprob = to_logprob(model_, choice.token, choice.logprobs);
  say(choice.token, std::move(logprob), delta);
  // 3. What the grammar leaves no choice about needs no step of its own.
  if (n_logprobs_ < 0 && !delta.finish) say_all(sampler_.forced_tokens(), delta);
  return true;
}

// As many of `tokens` as the grammar allows.
void RequestAnswer::say_all(const std::vector<Token>& tokens, DeltaEvent& delta) {
  for (const Token token : tokens) {
    if (delta.finish || !sampler_.accept(token)) return;
    say(token, std::nullopt, delta);
  }
}

void RequestAnswer::say(Token token, std::optional<TokenLogprob> logprob, DeltaEvent& delta) {
  ++n_said_;
  ++delta.n_tokens;
  delta.tokens.push_back(token);
  // 1. The model ends its answer: the token has no text and no logprob.
  if (model_.is_eog(token) && !ignores_eos_) {
    end(FinishReason::kStop, delta);
    return;
  }
  const std::string piece = model_.piece(token);
  thinking_.feed(piece);
  OutputText::Release out = output_.feed(piece, std::move(logprob));
  add(out, delta);
  // 2. A stop string.
  if (out.stop) {
    delta.finish.emplace();
    delta.finish->stop_string = std::move(out.stop);
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
  return {ErrorCode::kNumeric,
          "the model gave NaN or infinity, or every token is banned by logit_bias",
          {},
          {}};
}

}  // namespace pyserve
