#include "engine/lanes/batch_lane.h"

#include <algorithm>
#include <climits>
#include <cstdio>
#include <utility>

#include "base/check.h"
#include "engine/prefixes/space.h"

namespace pyserve {
namespace {

constexpr int kMaxSamplers = 8;
// Below this many logits the wake-up of a thread costs more than it saves.
constexpr int64_t kMinParallelLogits = 500'000;
// The supervisor kills an engine that takes longer to end.
constexpr double kSaveMs = 1500;
constexpr int kMinToldBlocks = 4096;

PrefixCacheLimits cache_limits(const EngineConfig& config, Context& context, bool has_head) {
  PrefixCacheLimits limits;
  limits.repeats_last = has_head;
  limits.n_active = config.n_seq_max;
  limits.n_pins = context.n_pins();
  limits.n_cells = context.memory().has_cells() ? context.n_kv() : INT_MAX;
  limits.n_store_bytes = static_cast<size_t>(config.prefix_cache_mib) << 20;
  limits.has_pieces = has_disk_prefixes(config, context);
  return limits;
}

std::unique_ptr<DiskPrefixes> open_disk(PrefixCache& cache, const EngineConfig& config,
                                        const Context& context, bool has_head,
                                        std::function<void()> wake) {
  if (!has_disk_prefixes(config, context)) return nullptr;
  return std::make_unique<DiskPrefixes>(cache, disk_prefixes_config(config, context, has_head),
                                        std::move(wake));
}

// A consumer that is so far behind had better begin again.
std::unique_ptr<BlockLog> open_log(const EngineConfig& config, const Context& context) {
  if (!config.tells_blocks) return nullptr;
  return std::make_unique<BlockLog>(std::max(kMinToldBlocks, 4 * (context.n_kv() / kBlockTokens)));
}

}  // namespace

BatchLane::BatchLane(const Model& model, const EngineConfig& config, std::function<void()> wake)
    : model_(model),
      config_(config),
      context_(model, config),
      guessers_(load_guessers(model, context_, config)),
      blocks_(open_log(config, context_)),
      cache_(memory(), cache_limits(config, context_, guessers_.head != nullptr)),
      disk_(open_disk(cache_, config, context_, guessers_.head != nullptr, std::move(wake))),
      admission_(cache_, disk_.get(), config.n_seq_max),
      planner_(config, cache_, guessers_.guesser.get()),
      samplers_(std::clamp(config.n_threads, 1, kMaxSamplers)),
      scratches_(samplers_.n_workers()) {
  cache_.tell(blocks_.get());
}

SequenceMemory& BatchLane::memory() {
  if (guessers_.head != nullptr) return guessers_.head->memory();
  return context_.memory();
}

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

void BatchLane::end_late(StepReport& report) {
  const auto is_late = [](const RunningRequest& r) { return r.is_out_of_time(); };
  for (size_t i = running_.size(); i-- > 0;) {
    if (!is_late(*running_[i])) continue;
    report.end_late(*running_[i]);
    remove_running(i, true);
  }
  for (const RunningPtr& request : admission_.take(is_late)) report.end_late(*request);
}

double BatchLane::wait_ms() const {
  if (disk_ == nullptr || is_busy()) return is_idle() ? -1 : 0;
  return disk_->wait_ms(false);
}

void BatchLane::save_prefixes() {
  if (disk_ != nullptr) disk_->flush(kSaveMs);
}

void BatchLane::step(StepReport& report) {
  end_late(report);
  if (disk_ != nullptr) disk_->work(is_busy());
  if (running_.empty()) stepped_at_ = Clock::now();
  admit(report);
  if (running_.empty()) return;
  // 1. Plan.
  StepPlan plan = planner_.plan(running_, holds_background_);
  if (plan.items.empty() && plan.preempt.empty()) {
    stepped_at_ = Clock::now();
    return;
  }
  context_.set_threads(planner_.n_threads());
  context_.set_adapters(planner_.adapters());
  preempt(plan.preempt, report);
  plan.items = items_after_preemption(plan);
  if (plan.items.empty()) return;
  // 2. Decode.
  const TimePoint begin = Clock::now();
  const DecodeStatus status = decode(plan);
  if (status != DecodeStatus::kOk) {
    handle_failed_decode(status, plan, report);
    return;
  }
  const double decode_ms = elapsed_ms(begin, Clock::now());
  const StepSample sample = planner_.observe_decode(running_, plan, decode_ms);
  charge(plan, sample, decode_ms, report.counters);
  // 3. Sample and commit.
  const auto is_answering = [](const RunningPtr& r) { return r->progress().is_answering(); };
  const auto n_answering = static_cast<int>(std::ranges::count_if(running_, is_answering));
  const int n_said = commit(plan, advance(plan), report);
  const TimePoint now = Clock::now();
  const double step_ms = elapsed_ms(std::exchange(stepped_at_, now), now);
  planner_.observe_step(plan, elapsed_ms(begin, now), step_ms, decode_ms);
  admission_.forecast().observe_step(step_ms, sample.n_prompt, n_said, n_answering);
  check_cache();
}

bool BatchLane::has_foreground() const {
  return admission_.has_foreground() || std::ranges::any_of(running_, is_foreground);
}

void BatchLane::admit(StepReport& report) {
  do {
    for (const RunningPtr& request :
         admission_.admit(running_, holds_background_, report.counters)) {
      report.fail(*request, deadline_error(*request, admission_.wait_ms(running_)));
    }
  } while (admission_.lacks_room() && make_way(report));
}

// Takes the place of the youngest request in the background; whether there was one.
bool BatchLane::make_way(StepReport& report) {
  for (size_t i = running_.size(); i-- > 0;) {
    if (is_foreground(running_[i])) continue;
    preempt({static_cast<int>(i)}, report);
    return true;
  }
  return false;
}

void BatchLane::preempt(const std::vector<int>& indices, StepReport& report) {
  for (const int index : indices) {
    // Its cells can be taken now, and those that are not are there when it resumes.
    release(*running_[index]);
    running_[index]->progress().preempt();
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
  const DecodeStatus status = context_.decode(batch);
  if (status == DecodeStatus::kOk && guessers_.head != nullptr) guessers_.head->observe(batch);
  return status;
}

void BatchLane::handle_failed_decode(DecodeStatus status, const StepPlan& plan,
                                     StepReport& report) {
  if (status == DecodeStatus::kGaveWay) {
    stepped_at_ = Clock::now();
    ++report.counters.n_gave_way;
    return planner_.observe_way_given(plan);
  }
  if (status == DecodeStatus::kNoCells) {
    // The cells are there but not for this batch: give up cached ones, then the youngest request.
    if (cache_.evict_one()) return;
    if (running_.size() > 1) {
      if (!make_way(report)) preempt({static_cast<int>(running_.size()) - 1}, report);
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

void BatchLane::charge(const StepPlan& plan, const StepSample& sample, double step_ms,
                       EngineStats& counters) {
  for (const PlanItem& item : plan.items) {
    const RunningRequest& request = *running_[item.index];
    if (request.progress().is_decode_of(item.n_tokens)) {
      admission_.charge_decode(request.params().tenant, request.n_logits(item.n_tokens),
                               request.params().is_background);
    }
  }
  const double share = static_cast<double>(sample.n_prompt) / (sample.n_prompt + sample.n_decode);
  ++counters.n_steps;
  counters.n_step_requests += static_cast<int64_t>(plan.items.size());
  counters.n_prompt_tokens += sample.n_prompt;
  counters.n_decode_tokens += sample.n_decode;
  counters.prompt_ms += step_ms * share;
  counters.decode_ms += step_ms * (1 - share);
  if (disk_ != nullptr && counters.n_prompt_tokens > 0) {
    disk_->set_prompt_ms_per_token(counters.prompt_ms /
                                   static_cast<double>(counters.n_prompt_tokens));
  }
}

std::vector<BatchLane::Outcome> BatchLane::advance(const StepPlan& plan) {
  std::vector<Outcome> outcomes(plan.items.size());
  int n_rows = 0;
  for (size_t i = 0; i < plan.items.size(); ++i) {
    const PlanItem& item = plan.items[i];
    RequestProgress& progress = running_[item.index]->progress();
    n_rows += outcomes[i].n_logits = running_[item.index]->n_logits(item.n_tokens);
    progress.advance(item.n_tokens);
    outcomes[i].n_computed = progress.n_computed();
    cache_.advance(progress.seq_id(), item.n_tokens);
    const TokenSpan computed = progress.computed_tokens();
    DraftHead* const head = guessers_.head;
    if (head != nullptr) head->read_prompt(progress.seq_id(), computed);
    if (!progress.is_at_cut()) continue;
    if (head != nullptr) head->read(progress.seq_id(), computed);
    if (cache_.publish(progress.seq_id(), computed)) note(*running_[item.index]);
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

int BatchLane::commit(const StepPlan& plan, std::vector<Outcome> outcomes, StepReport& report) {
  int n_said = 0;
  for (size_t i = 0; i < outcomes.size(); ++i) {
    Outcome& outcome = outcomes[i];
    if (outcome.n_logits == 0) continue;
    RunningPtr& request = running_[plan.items[i].index];
    const RequestProgress& progress = request->progress();
    const int n_right = progress.n_computed() - outcome.n_computed;
    cache_.advance(progress.seq_id(), n_right);
    if (planner_.has_drafts()) cache_.undo(progress.seq_id());
    if (outcome.delta && progress.n_answer() > outcome.delta->n_tokens) {
      n_said += outcome.delta->n_tokens;
    }
    if (outcome.delta && !outcome.delta->finish) {
      report.add(*request, std::move(*outcome.delta));
      continue;
    }
    if (outcome.delta) {
      release(*request);
      const bool has_ended = outcome.delta->finish->reason == FinishReason::kStop;
      admission_.forecast().observe_end(progress.n_answer(), has_ended);
      report.add(*request, std::move(*outcome.delta));
    } else {
      cache_.drop(progress.seq_id());
      report.fail(*request, request->no_token_error());
    }
    request = nullptr;
  }
  std::erase(running_, nullptr);
  return n_said;
}

void BatchLane::release(const RunningRequest& request) {
  const RequestProgress& progress = request.progress();
  if (guessers_.head != nullptr) {
    guessers_.head->read(progress.seq_id(), progress.computed_tokens());
  }
  cache_.release(progress.seq_id(), progress.computed_tokens());
  note(request);
}

void BatchLane::note(const RunningRequest& request) {
  if (disk_ == nullptr || !request.params().saves_prefix) return;
  disk_->note(request.cache_key(), request.progress().computed_tokens());
}

void BatchLane::fail_running(size_t index, const ErrorInfo& error, bool keep_cells,
                             StepReport& report) {
  report.fail(*running_[index], error);
  remove_running(index, keep_cells);
}

void BatchLane::remove_running(size_t index, bool keep_cells) {
  const RequestProgress& progress = running_[index]->progress();
  if (progress.is_answering()) admission_.forecast().observe_end(progress.n_answer(), false);
  if (keep_cells) {
    release(*running_[index]);
  } else {
    cache_.drop(progress.seq_id());
  }
  running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(index));
}

void BatchLane::fail_all(const ErrorInfo& error, StepReport& report) {
  while (!running_.empty()) fail_running(running_.size() - 1, error, false, report);
  for (const RunningPtr& request : admission_.take([](const RunningRequest&) { return true; })) {
    report.fail(*request, error);
  }
}

void BatchLane::tell_progress(bool all, StepReport& report) {
  for (const RunningPtr& request : running_) {
    if (request->has_begun_to_answer() || !(all || request->params().wants_progress)) continue;
    report.events.push_back({request->ticket().id, request->tell_progress()});
  }
  if (all) admission_.tell_places(running_, report.events);
}

// Every sequence and cell is accounted for.
void BatchLane::check_cache() const {
#ifndef NDEBUG
  const std::string broken_rule = cache_.check();
  if (!broken_rule.empty()) std::fprintf(stderr, "prefix cache: %s\n", broken_rule.c_str());
  PYSERVE_CHECK(broken_rule.empty());
  int n_own = 0;
  for (const RunningPtr& request : running_) {
    const RequestProgress& progress = request->progress();
    n_own += progress.n_computed() - cache_.n_forked(progress.seq_id());
  }
  PYSERVE_CHECK(n_own == cache_.n_own_cells());
#endif
}

void BatchLane::count(EngineStats& stats) const {
  stats.n_running += static_cast<int64_t>(running_.size());
  stats.n_waiting += static_cast<int64_t>(admission_.n_waiting());
  for (const RunningPtr& request : running_) note_adapters(*request, stats.running_adapters);
  for (const RunningPtr& request : admission_.waiting()) {
    note_adapters(*request, stats.waiting_adapters);
  }
  stats.n_threads = planner_.n_threads();
  stats.n_kv_used = cache_.n_used_cells();
  stats.n_kv_total = context_.n_kv();
  stats.n_kv_held = cache_.n_held_cells();
  stats.n_prefix_pins = cache_.n_pins();
  stats.prefix_copy_bytes = static_cast<int64_t>(cache_.n_store_bytes());
  if (blocks_ != nullptr) stats.n_block_losses = blocks_->n_losses();
  if (disk_ != nullptr) disk_->count(stats);
}

}  // namespace pyserve
