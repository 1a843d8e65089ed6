#include "engine/batch_lane.h"

#include <algorithm>
#include <climits>
#include <cstdio>
#include <utility>

#include "base/check.h"
#include "base/process_usage.h"

namespace pyserve {
namespace {

constexpr int kMinPrefill = 16;
constexpr int kMaxSamplers = 8;
// Below this many logits the wake-up of a thread costs more than it saves.
constexpr int64_t kMinParallelLogits = 500'000;
// Rows of a step with drafts: so many cost a few times one, and more are better used by requests.
constexpr int kMaxDraftRows = 16;

PrefixCacheLimits cache_limits(const EngineConfig& config, Context& context) {
  PrefixCacheLimits limits;
  limits.n_active = config.n_seq_max;
  limits.n_pins = context.n_pins();
  limits.n_cells = context.memory().has_cells() ? context.n_kv() : INT_MAX;
  limits.n_store_bytes = static_cast<size_t>(config.prefix_cache_mib) << 20;
  return limits;
}

ConcurrencyOptions concurrency_options(const EngineConfig& config) {
  ConcurrencyOptions options;
  options.n_max = config.n_seq_max;
  return options;
}

}  // namespace

BatchLane::BatchLane(const Model& model, const EngineConfig& config)
    : model_(model),
      config_(config),
      context_(model, config),
      cache_(context_.memory(), cache_limits(config, context_)),
      admission_(cache_, config.n_seq_max),
      concurrency_(concurrency_options(config)),
      samplers_(std::clamp(config.n_threads, 1, kMaxSamplers)),
      scratches_(samplers_.n_workers()) {}

void BatchLane::drop_cancelled(StepReport& report) {
  const auto is_cancelled = [](const RunningRequest& r) { return r.ticket().is_cancelled.load(); };
  // What a cancelled request has computed is sound; the client may well come back.
  for (size_t i = running_.size(); i-- > 0;) {
    if (is_cancelled(*running_[i])) fail_running(i, cancelled_error(), true, report);
  }
  for (const RunningPtr& request : admission_.take(is_cancelled)) {
    report.fail(*request, cancelled_error());
  }
}

void BatchLane::step(StepReport& report) {
  for (const RunningPtr& request : admission_.admit(running_, report.counters)) {
    report.fail(*request, deadline_error(*request));
  }
  if (running_.empty()) return;
  // 1. Plan.
  const TimePoint begin = Clock::now();
  const StepPlan plan = make_plan();
  preempt(plan.preempt, report);
  if (plan.items.empty()) return;
  // 2. Decode.
  const DecodeStatus status = decode(plan);
  if (status != DecodeStatus::kOk) {
    handle_failed_decode(status, plan, report);
    return;
  }
  const double decode_ms = elapsed_ms(begin, Clock::now());
  threads_.observe(decode_ms, monotonic_ms(), n_preemptions());
  learn(plan, decode_ms, report);
  // 3. Sample and commit.
  commit(plan, advance(plan), report);
  if (is_pure_decode_ && n_drafted_ == 0) {
    concurrency_.observe(static_cast<int>(plan.items.size()), elapsed_ms(begin, Clock::now()));
  }
  check_cache();
}

StepPlan BatchLane::make_plan() {
  std::vector<RunningView> views;
  int n_scored = kMaxScored - static_cast<int>(running_.size());
  for (const RunningPtr& request : running_) {
    // Those that score a prompt share the rows of logits; the oldest gets what it can use.
    const bool is_scoring = request->is_scoring();
    const int n_most = is_scoring ? std::max(n_scored, 0) : INT_MAX;
    views.push_back(request->view(cache_.n_forked(request->seq_id()), n_most));
    if (is_scoring) n_scored -= views.back().n_missing();
  }
  StepPlan plan = plan_step(views, limits(views));
  for (const PlanItem& item : plan.items) {
    if (views[item.index].is_decode()) running_[item.index]->set_turn(++n_turns_);
  }
  add_drafts(plan);
  choose_threads(static_cast<int>(plan.items.size()) + n_drafted_);
  return plan;
}

// Requests of which much is known decode several tokens at once while there are few of them.
void BatchLane::add_drafts(const StepPlan& plan) {
  n_drafted_ = 0;
  const auto n_items = static_cast<int>(plan.items.size());
  const int n_most = std::min({kMaxDraftRows, config_.n_batch, cache_.n_free_cells()}) - n_items;
  const bool can_draft = is_pure_decode_ && plan.preempt.empty() && cache_.can_undo();
  const auto n_draft = [&](const PlanItem& item, int n_max) {
    return can_draft ? running_[item.index]->n_draft(n_max) : 0;
  };
  const auto n_drafting =
      std::count_if(plan.items.begin(), plan.items.end(),
                    [&](const PlanItem& item) { return n_draft(item, Draft::kMaxLength) > 0; });
  const int n_share = n_drafting > 0 ? n_most / static_cast<int>(n_drafting) : 0;
  for (const PlanItem& item : plan.items) {
    const int n = n_draft(item, n_share);
    running_[item.index]->add_draft(n);
    n_drafted_ += n;
  }
}

void BatchLane::choose_threads(int n_rows) {
  const int n_threads = is_pure_decode_ ? config_.n_threads : config_.n_threads_batch;
  n_threads_ = threads_.plan(n_threads, is_pure_decode_ ? n_rows : 0, monotonic_ms());
  context_.set_threads(n_threads_);
}

StepLimits BatchLane::limits(const std::vector<RunningView>& views) {
  int n_decode = 0;
  int64_t n_ctx_tokens = 0;
  int n_depth = 0;  // of the deepest prompt
  is_pure_decode_ = true;
  for (size_t i = 0; i < views.size(); ++i) {
    const RunningView& view = views[i];
    if (view.n_missing() > 1) n_depth = std::max(n_depth, running_[i]->n_computed());
    if (view.is_decode()) {
      ++n_decode;
      n_ctx_tokens += view.n_known;
    }
    is_pure_decode_ = is_pure_decode_ && view.n_missing() <= 1;
  }
  is_pure_decode_ = is_pure_decode_ && n_decode > 0;
  StepLimits limits;
  limits.n_batch = config_.n_batch;
  // Where decodes alone take most of the target, prompts get as much time as they do: in smaller
  // pieces few requests would ever decode together.
  const double decode_ms = costs_.decode_ms(n_decode, n_ctx_tokens);
  const double target_ms = std::max(config_.max_token_gap_ms, 2 * decode_ms);
  limits.n_prefill = prefill_budget(costs_.ms_per_prompt_token(n_depth), target_ms, kMinPrefill,
                                    config_.n_batch, decode_ms);
  limits.n_cells_free = cache_.n_free_cells();
  if (is_pure_decode_) limits.n_decode_max = concurrency_.plan(n_decode);
  return limits;
}

void BatchLane::preempt(const std::vector<int>& indices, StepReport& report) {
  for (const int index : indices) {
    RunningRequest& request = *running_[index];
    // Its cells can be taken now, and those that are not are there when it resumes.
    cache_.release(request.seq_id(), request.computed_tokens());
    request.preempt();
    ++report.counters.n_preempted;
    admission_.add(std::move(running_[index]));
  }
  std::erase(running_, nullptr);
}

DecodeStatus BatchLane::decode(const StepPlan& plan) {
  std::vector<BatchItem> batch;
  int n_tokens = 0;
  for (const PlanItem& item : plan.items) {
    batch.push_back(running_[item.index]->batch_item(item.n_tokens));
    n_tokens += static_cast<int>(batch.back().tokens.size());
  }
  cache_.make_room(n_tokens);
  return context_.decode(batch);
}

void BatchLane::handle_failed_decode(DecodeStatus status, const StepPlan& plan,
                                     StepReport& report) {
  if (status == DecodeStatus::kNoCells) {
    // The cells are there but not for this batch: give up cached ones, then the youngest request.
    if (cache_.evict_one()) return;
    if (running_.size() > 1) {
      preempt({static_cast<int>(running_.size()) - 1}, report);
      return;
    }
  }
  const bool is_aborted = status == DecodeStatus::kAborted;
  const ErrorInfo error = is_aborted ? cancelled_error() : failed_step_error();
  std::vector<int> indices;
  for (const PlanItem& item : plan.items) indices.push_back(item.index);
  std::sort(indices.rbegin(), indices.rend());
  // Cells of earlier steps are sound; a state that goes on with every step is not.
  const bool keep_cells = is_aborted && cache_.is_cuttable();
  for (const int index : indices) fail_running(index, error, keep_cells, report);
}

void BatchLane::learn(const StepPlan& plan, double step_ms, StepReport& report) {
  EngineStats& counters = report.counters;
  ++counters.n_steps;
  StepSample sample;
  sample.step_ms = step_ms;
  for (const PlanItem& item : plan.items) {
    const RunningRequest& request = *running_[item.index];
    if (request.is_answering() && item.n_tokens == 1) {
      const int n_rows = request.n_logits(1);
      sample.n_decode += n_rows;
      sample.n_ctx_tokens += int64_t{n_rows} * request.n_known();
      admission_.charge_decode(request.tenant(), n_rows);
    } else {
      sample.n_prompt += item.n_tokens;
      sample.n_prompt_ctx_tokens +=
          int64_t{item.n_tokens} * (request.n_computed() + item.n_tokens / 2);
    }
  }
  costs_.observe(sample);
  const double share = static_cast<double>(sample.n_prompt) / (sample.n_prompt + sample.n_decode);
  counters.n_prompt_tokens += sample.n_prompt;
  counters.n_decode_tokens += sample.n_decode;
  counters.prompt_ms += step_ms * share;
  counters.decode_ms += step_ms * (1 - share);
}

std::vector<BatchLane::Outcome> BatchLane::advance(const StepPlan& plan) {
  std::vector<Outcome> outcomes(plan.items.size());
  int n_rows = 0;
  for (size_t i = 0; i < plan.items.size(); ++i) {
    const PlanItem& item = plan.items[i];
    RunningRequest& request = *running_[item.index];
    n_rows += outcomes[i].n_logits = request.n_logits(item.n_tokens);
    request.advance(item.n_tokens);
    outcomes[i].n_computed = request.n_computed();
    cache_.advance(request.seq_id(), item.n_tokens);
    if (request.is_at_cut()) cache_.publish(request.seq_id(), request.computed_tokens());
  }
  const auto take = [&](int i, int worker) {
    Outcome& outcome = outcomes[i];
    if (outcome.n_logits == 0) return;
    const auto rows = [&](int k) { return context_.logits(i, k); };
    RunningRequest& request = *running_[plan.items[i].index];
    outcome.delta = request.take_logits(outcome.n_logits, rows, scratches_[worker]);
  };
  const auto n_items = static_cast<int>(outcomes.size());
  if (int64_t{n_rows} * model_.n_vocab() < kMinParallelLogits) {
    for (int i = 0; i < n_items; ++i) take(i, 0);
  } else {
    samplers_.run(n_items, take);
  }
  return outcomes;
}

void BatchLane::commit(const StepPlan& plan, std::vector<Outcome> outcomes, StepReport& report) {
  for (size_t i = 0; i < outcomes.size(); ++i) {
    Outcome& outcome = outcomes[i];
    if (outcome.n_logits == 0) continue;
    RunningPtr& request = running_[plan.items[i].index];
    const int n_right = request->n_computed() - outcome.n_computed;
    cache_.advance(request->seq_id(), n_right);
    if (n_drafted_ > 0) cache_.undo(request->seq_id());
    if (outcome.delta && !outcome.delta->finish) {
      report.events.push_back({request->ticket().id, std::move(*outcome.delta)});
      continue;
    }
    if (outcome.delta) {
      cache_.release(request->seq_id(), request->computed_tokens());
      report.events.push_back({request->ticket().id, std::move(*outcome.delta)});
    } else {
      cache_.drop(request->seq_id());
      report.fail(*request, request->no_token_error());
    }
    request = nullptr;
  }
  std::erase(running_, nullptr);
}

void BatchLane::fail_running(size_t index, const ErrorInfo& error, bool keep_cells,
                             StepReport& report) {
  RunningRequest& request = *running_[index];
  report.fail(request, error);
  if (keep_cells) {
    cache_.release(request.seq_id(), request.computed_tokens());
  } else {
    cache_.drop(request.seq_id());
  }
  running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(index));
}

void BatchLane::fail_all(const ErrorInfo& error, StepReport& report) {
  while (!running_.empty()) fail_running(running_.size() - 1, error, false, report);
  for (const RunningPtr& request : admission_.take([](const RunningRequest&) { return true; })) {
    report.fail(*request, error);
  }
}

// Every sequence and cell is accounted for.
void BatchLane::check_cache() const {
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

void BatchLane::count(EngineStats& stats) const {
  stats.n_running += static_cast<int64_t>(running_.size());
  stats.n_waiting += static_cast<int64_t>(admission_.n_waiting());
  stats.n_threads = n_threads_;
  stats.n_kv_used = cache_.n_used_cells();
  stats.n_kv_total = context_.n_kv();
  stats.n_prefix_pins = cache_.n_pins();
  stats.prefix_copy_bytes = static_cast<int64_t>(cache_.n_store_bytes());
}

}  // namespace pyserve
