#include "engine/step_loop.h"

#include <algorithm>
#include <climits>
#include <utility>

#include "base/check.h"

namespace pyserve {
namespace {

constexpr int kMinPrefill = 16;
constexpr int kMinTokensToLearn = 32;
constexpr double kLearnRate = 0.2;

PrefixCacheLimits cache_limits(const EngineConfig& config, Context& context) {
  PrefixCacheLimits limits;
  limits.n_active = config.n_seq_max;
  limits.n_pins = context.n_pins();
  limits.n_cells = context.memory().has_cells() ? context.n_kv() : INT_MAX;
  limits.n_store_bytes = static_cast<size_t>(config.prefix_cache_mib) << 20;
  return limits;
}

bool wants_logits(const RunningRequest& request, const PlanItem& item) {
  return request.n_computed() + item.n_tokens == request.n_known();
}

}  // namespace

StepLoop::StepLoop(const Model& model, const EngineConfig& config, Registry& registry)
    : model_(model),
      config_(config),
      registry_(registry),
      context_(model, config),
      cache_(context_.memory(), cache_limits(config, context_)),
      admission_(cache_, config.n_seq_max) {
  publish_stats();
}

StepLoop::~StepLoop() = default;

void StepLoop::submit(std::unique_ptr<PreparedRequest> request) {
  const std::shared_ptr<Ticket> ticket = request->ticket;
  if (inbox_.push(std::move(request))) return;
  registry_.fail(*ticket, {ErrorCode::kCancelled, "the engine has been stopped", {}, {}});
}

void StepLoop::request_stop() {
  is_stopping_ = true;
  context_.request_abort();
  inbox_.close();
}

void StepLoop::run() {
  while (true) {
    take_inbox();
    if (is_stopping_) break;
    try {
      drop_cancelled();
      admission_.admit(waiting_, running_, counters_);
      step();
    } catch (const std::exception& error) {
      fail_all({ErrorCode::kInternal, std::string("the engine failed: ") + error.what(), {}, {}});
    }
    check_cache();
    publish_stats();
    registry_.publish(std::exchange(events_, {}));
  }
  fail_all({ErrorCode::kCancelled, "the engine has been stopped", {}, {}});
  registry_.publish(std::exchange(events_, {}));
}

// Every sequence and cell is accounted for.
void StepLoop::check_cache() const {
#ifndef NDEBUG
  const std::string broken_rule = cache_.check();
  if (!broken_rule.empty()) std::fprintf(stderr, "prefix cache: %s\n", broken_rule.c_str());
  PYSERVE_CHECK(broken_rule.empty());
  int n_own = 0;
  for (const RunningPtr& request : running_) {
    n_own += request->n_computed() - cache_.n_forked(request->seq_id());
  }
  PYSERVE_CHECK(n_own == cache_.n_own_cells());
#endif
}

void StepLoop::take_inbox() {
  const bool is_idle = running_.empty() && waiting_.empty();
  for (auto& prepared : inbox_.take_all(is_idle ? -1 : 0)) {
    if (prepared == nullptr) continue;
    waiting_.push_back(
        std::make_unique<RunningRequest>(model_, std::move(*prepared), context_.n_ctx()));
  }
}

void StepLoop::drop_cancelled() {
  const ErrorInfo cancelled{ErrorCode::kCancelled, "the request was cancelled", {}, {}};
  for (size_t i = running_.size(); i-- > 0;) {
    if (running_[i]->ticket().is_cancelled) fail_running(i, cancelled);
  }
  std::erase_if(waiting_, [&](const RunningPtr& request) {
    if (!request->ticket().is_cancelled) return false;
    events_.push_back({request->ticket().id, FailedEvent{cancelled}});
    return true;
  });
}

void StepLoop::step() {
  if (running_.empty()) return;
  // 1. Plan.
  std::vector<RunningView> views;
  for (const RunningPtr& request : running_) {
    views.push_back(request->view(cache_.n_forked(request->seq_id())));
  }
  StepLimits limits;
  limits.n_batch = config_.n_batch;
  limits.n_prefill =
      prefill_budget(ms_per_prompt_token_, config_.max_token_gap_ms, kMinPrefill, config_.n_batch);
  limits.n_cells_free = cache_.n_free_cells();
  const StepPlan plan = plan_step(views, limits);
  preempt(plan.preempt);
  if (plan.items.empty()) return;
  // 2. Decode.
  const TimePoint begin = Clock::now();
  const DecodeStatus status = decode(plan);
  const double step_ms = elapsed_ms(begin, Clock::now());
  if (status != DecodeStatus::kOk) {
    handle_failed_decode(status, plan);
    return;
  }
  // 3. Sample and commit.
  learn_speed(plan, step_ms);
  commit(plan);
}

void StepLoop::preempt(const std::vector<int>& indices) {
  // Youngest first: pushing to the front keeps the order of arrival among those that wait.
  for (const int index : indices) {
    RunningRequest& request = *running_[index];
    // Its cells can be taken now, and those that are not are there when it resumes.
    cache_.release(request.seq_id(), request.computed_tokens());
    request.preempt();
    ++counters_.n_preempted;
    waiting_.push_front(std::move(running_[index]));
  }
  std::erase(running_, nullptr);
}

DecodeStatus StepLoop::decode(const StepPlan& plan) {
  std::vector<BatchItem> batch;
  int n_tokens = 0;
  for (const PlanItem& item : plan.items) {
    const RunningRequest& request = *running_[item.index];
    batch.push_back({request.seq_id(), request.n_computed(),
                     request.tokens().subspan(request.n_computed(), item.n_tokens),
                     wants_logits(request, item)});
    n_tokens += item.n_tokens;
  }
  cache_.make_room(n_tokens);
  return context_.decode(batch);
}

void StepLoop::handle_failed_decode(DecodeStatus status, const StepPlan& plan) {
  if (is_stopping_) return;
  if (status == DecodeStatus::kNoCells) {
    // The cells are there but not for this batch: give up cached ones, then the youngest request.
    if (cache_.evict_one()) return;
    if (running_.size() > 1) {
      preempt({static_cast<int>(running_.size()) - 1});
      return;
    }
  }
  std::vector<int> indices;
  for (const PlanItem& item : plan.items) indices.push_back(item.index);
  std::sort(indices.rbegin(), indices.rend());
  for (const int index : indices) {
    fail_running(index, {ErrorCode::kInternal, "the model could not compute this step", {}, {}});
  }
}

void StepLoop::learn_speed(const StepPlan& plan, double step_ms) {
  ++counters_.n_steps;
  int n_prompt = 0;
  int n_decode = 0;
  for (const PlanItem& item : plan.items) {
    (running_[item.index]->is_answering() ? n_decode : n_prompt) += item.n_tokens;
  }
  const double share = static_cast<double>(n_prompt) / (n_prompt + n_decode);
  counters_.n_prompt_tokens += n_prompt;
  counters_.n_decode_tokens += n_decode;
  counters_.prompt_ms += step_ms * share;
  counters_.decode_ms += step_ms * (1 - share);
  if (n_prompt < kMinTokensToLearn) return;
  const double sample = step_ms / (n_prompt + n_decode);
  ms_per_prompt_token_ +=
      ms_per_prompt_token_ == 0 ? sample : kLearnRate * (sample - ms_per_prompt_token_);
}

void StepLoop::commit(const StepPlan& plan) {
  std::vector<size_t> ended;
  for (size_t i = 0; i < plan.items.size(); ++i) {
    const PlanItem& item = plan.items[i];
    RunningRequest& request = *running_[item.index];
    const bool has_logits = wants_logits(request, item);
    request.advance(item.n_tokens);
    cache_.advance(request.seq_id(), item.n_tokens);
    if (request.is_at_cut()) cache_.publish(request.seq_id(), request.computed_tokens());
    if (!has_logits) continue;
    std::optional<DeltaEvent> delta = request.sample(context_.logits(i), scratch_);
    if (!delta) {
      ErrorInfo error{
          ErrorCode::kInternal, "the model gave no finite logit, or every token is banned", {}, {}};
      events_.push_back({request.ticket().id, FailedEvent{std::move(error)}});
      leave(request, false);
      ended.push_back(item.index);
      continue;
    }
    if (delta->finish) {
      leave(request, true);
      ended.push_back(item.index);
    }
    events_.push_back({request.ticket().id, std::move(*delta)});
  }
  for (const size_t index : ended) running_[index] = nullptr;
  std::erase(running_, nullptr);
}

void StepLoop::leave(RunningRequest& request, bool keep_cells) {
  if (keep_cells) {
    cache_.release(request.seq_id(), request.computed_tokens());
  } else {
    cache_.drop(request.seq_id());
  }
}

void StepLoop::fail_running(size_t index, ErrorInfo error) {
  RunningRequest& request = *running_[index];
  const bool is_cancelled = error.code == ErrorCode::kCancelled;
  events_.push_back({request.ticket().id, FailedEvent{std::move(error)}});
  // What a cancelled request has computed is sound; the client may well come back.
  leave(request, is_cancelled);
  running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(index));
}

void StepLoop::fail_all(const ErrorInfo& error) {
  while (!running_.empty()) fail_running(running_.size() - 1, error);
  for (const RunningPtr& request : waiting_) {
    events_.push_back({request->ticket().id, FailedEvent{error}});
  }
  waiting_.clear();
  for (auto& prepared : inbox_.take_all(0)) {
    if (prepared != nullptr) events_.push_back({prepared->ticket->id, FailedEvent{error}});
  }
}

void StepLoop::publish_stats() {
  counters_.n_running = static_cast<int64_t>(running_.size());
  counters_.n_waiting = static_cast<int64_t>(waiting_.size());
  counters_.n_kv_used = cache_.n_used_cells();
  counters_.n_kv_total = context_.n_kv();
  counters_.n_prefix_pins = cache_.n_pins();
  counters_.prefix_copy_bytes = static_cast<int64_t>(cache_.n_store_bytes());
  std::lock_guard lock(stats_mutex_);
  published_ = counters_;
}

EngineStats StepLoop::stats() const {
  std::lock_guard lock(stats_mutex_);
  return published_;
}

}  // namespace pyserve
