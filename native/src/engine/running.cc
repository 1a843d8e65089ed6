#include "engine/running.h"

#include <algorithm>
#include <utility>

namespace pyserve {
namespace {

// No tenant can choose a salt that makes its key another tenant's.
std::string make_cache_key(const Request& request) {
  return std::to_string(request.tenant.size()) + ':' + request.tenant + request.cache_salt;
}

}  // namespace

RunningRequest::RunningRequest(const Model& model, PreparedRequest prepared, int n_ctx)
    : model_(model),
      prepared_(std::move(prepared)),
      cache_key_(make_cache_key(prepared_.request)),
      n_ctx_(n_ctx),
      n_prompt_(static_cast<int>(prepared_.tokens.size())),
      tokens_(std::move(prepared_.tokens)),
      sampler_(model, prepared_.request.sampling, tokens_),
      output_(prepared_.request.stop) {}

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
  was_preempted_ = true;
}

RunningView RunningRequest::view(int n_forked) const {
  const auto cut = cuts_.upper_bound(n_computed_);
  const int n_end = cut == cuts_.end() ? n_known() : std::min(*cut, n_known());
  RunningView view;
  view.n_known = n_end - n_forked;
  view.n_computed = n_computed_ - n_forked;
  return view;
}

std::optional<DeltaEvent> RunningRequest::sample(std::span<float> logits, SampleScratch& scratch) {
  const FusedSampler::Choice choice =
      sampler_.sample(logits, prepared_.request.n_logprobs, scratch);
  if (choice.token < 0) return std::nullopt;
  if (!first_token_at_) first_token_at_ = Clock::now();
  tokens_.push_back(choice.token);
  return make_delta(choice.token, make_logprob(choice));
}

std::optional<TokenLogprob> RunningRequest::make_logprob(const FusedSampler::Choice& choice) const {
  if (prepared_.request.n_logprobs < 0) return std::nullopt;
  TokenLogprob out{choice.token, model_.piece(choice.token, true), choice.logprobs.sampled, {}};
  for (const RankedToken& ranked : choice.logprobs.top) {
    out.top.push_back({ranked.token, model_.piece(ranked.token, true), ranked.logprob});
  }
  return out;
}

DeltaEvent RunningRequest::make_delta(Token token, std::optional<TokenLogprob> logprob) {
  DeltaEvent delta;
  delta.n_tokens = 1;
  // 1. The model ends its answer: the token has no text and no logprob.
  const bool is_end = model_.is_eog(token) && !prepared_.request.sampling.ignore_eos;
  std::optional<FinishReason> reason;
  if (is_end) {
    reason = FinishReason::kStop;
  } else {
    OutputText::Release out = output_.feed(model_.piece(token), std::move(logprob));
    delta.text = std::move(out.text);
    delta.logprobs = std::move(out.logprobs);
    // 2. A stop string, 3. the limit of the request or of the context.
    const int n_answer = n_known() - n_prompt_;
    const int max_tokens = prepared_.request.max_tokens;
    if (out.stop) {
      delta.finish = make_finish(FinishReason::kStop);
      delta.finish->stop_string = std::move(out.stop);
      return delta;
    }
    if ((max_tokens >= 0 && n_answer >= max_tokens) || n_known() >= n_ctx_) {
      reason = FinishReason::kLength;
    }
  }
  if (!reason) return delta;
  OutputText::Release rest = output_.finish();
  delta.text += rest.text;
  std::move(rest.logprobs.begin(), rest.logprobs.end(), std::back_inserter(delta.logprobs));
  delta.finish = make_finish(*reason);
  return delta;
}

Finish RunningRequest::make_finish(FinishReason reason) const {
  Finish finish;
  finish.reason = reason;
  finish.n_prompt_tokens = n_prompt_;
  finish.n_completion_tokens = n_known() - n_prompt_;
  finish.n_cached_tokens = n_cached_;
  finish.queue_ms = elapsed_ms(ticket().submitted_at, *started_at_);
  finish.prompt_ms = elapsed_ms(*started_at_, *first_token_at_);
  finish.decode_ms = elapsed_ms(*first_token_at_, Clock::now());
  return finish;
}

}  // namespace pyserve
