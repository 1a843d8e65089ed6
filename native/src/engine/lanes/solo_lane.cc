#include "engine/lanes/solo_lane.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace pyserve {
namespace {

EngineConfig alone(EngineConfig config, int n_ctx, int n_batch) {
  config.n_ctx = n_ctx;
  config.n_kv = n_ctx;
  config.n_seq_max = 1;
  config.n_batch = n_batch;
  config.prefix_cache_mib = 0;
  return config;
}

// The `n_replayed` tokens that an earlier run of the request has drawn are computed as it did: one
// by one.
int next_chunk(const RunningRequest& request, int n_replayed, int n_most) {
  const RequestProgress& progress = request.progress();
  const int n_prompt_left = progress.n_prompt() - progress.n_computed();
  if (n_prompt_left > 0) return std::min(n_prompt_left, n_most);
  if (n_prompt_left > -n_replayed) return 1;
  return std::min(progress.n_missing(), n_most);
}

}  // namespace

SoloLane::SoloLane(const Model& model, const EngineConfig& config, const Context& threads)
    : model_(model), config_(alone(config, threads.n_ctx(), kChunk)), threads_(threads) {}

void SoloLane::drop_cancelled(StepReport& report) {
  if (is_running_ && queue_.front()->ticket().is_cancelled) is_running_ = false;
  std::erase_if(queue_, [&](const std::unique_ptr<RunningRequest>& request) {
    if (!request->ticket().is_cancelled) return false;
    report.fail(*request, cancelled_error());
    return true;
  });
}

void SoloLane::drop_expired(StepReport& report) {
  const RunningRequest* running = is_running_ ? queue_.front().get() : nullptr;
  std::erase_if(queue_, [&](const std::unique_ptr<RunningRequest>& request) {
    const double deadline_ms = request->params().deadline_ms;
    if (request.get() == running || deadline_ms <= 0) return false;
    if (request->waited_ms() < deadline_ms) return false;
    report.fail(*request, deadline_error(*request));
    return true;
  });
}

void SoloLane::end_late(StepReport& report) {
  if (is_running_ && queue_.front()->is_out_of_time()) is_running_ = false;
  std::erase_if(queue_, [&](const std::unique_ptr<RunningRequest>& request) {
    if (!request->is_out_of_time()) return false;
    report.end_late(*request);
    return true;
  });
}

void SoloLane::step(StepReport& report) {
  end_late(report);
  drop_expired(report);
  if (queue_.empty() || (holds_background_ && !bring_foreground())) return;
  if (!is_running_) begin();
  RunningRequest& request = *queue_.front();
  const int n_tokens = next_chunk(request, n_replayed_, kChunk);
  const int n_logits = request.n_logits(n_tokens);
  const TimePoint started_at = Clock::now();
  const bool is_prompt = !request.progress().is_answering();
  const DecodeStatus status = context_->decode({request.batch_item(n_tokens)});
  if (status == DecodeStatus::kGaveWay) {
    ++report.counters.n_gave_way;
    return;
  }
  if (status != DecodeStatus::kOk) {
    report.fail(request,
                status == DecodeStatus::kAborted ? cancelled_error() : failed_step_error());
    return end();
  }
  request.progress().advance(n_tokens);
  EngineStats& counters = report.counters;
  ++counters.n_steps;
  ++counters.n_step_requests;
  (is_prompt ? counters.n_prompt_tokens : counters.n_decode_tokens) += n_tokens;
  (is_prompt ? counters.prompt_ms : counters.decode_ms) += elapsed_ms(started_at, Clock::now());
  if (n_logits > 0) take_logits(request, n_logits, report);
}

bool SoloLane::has_foreground() const { return std::ranges::any_of(queue_, is_foreground); }

// Has the first request that is not in the background run, in the place of one that is; whether
// there is one.
bool SoloLane::bring_foreground() {
  const auto first = std::ranges::find_if(queue_, is_foreground);
  if (first == queue_.end()) return false;
  if (first == queue_.begin()) return true;
  if (is_running_) queue_.front()->progress().preempt();
  is_running_ = false;
  std::rotate(queue_.begin(), first, std::next(first));
  return true;
}

void SoloLane::begin() {
  if (!context_) context_ = std::make_unique<Context>(model_, config_, &threads_);
  context_->memory().truncate(0, 0);
  context_->set_adapters(queue_.front()->params().adapters);
  queue_.front()->progress().start(0, 0);
  n_replayed_ = queue_.front()->progress().n_answer();
  is_running_ = true;
}

void SoloLane::end() {
  queue_.pop_front();
  is_running_ = false;
}

void SoloLane::take_logits(RunningRequest& request, int n_logits, StepReport& report) {
  const auto rows = [this](int k) { return context_->logits(0, k); };
  std::optional<DeltaEvent> delta = request.take_logits(n_logits, rows, scratch_);
  if (!delta) {
    report.fail(request, request.no_token_error());
    return end();
  }
  const bool is_last = delta->finish.has_value();
  report.add(request, std::move(*delta));
  if (is_last) end();
}

void SoloLane::fail_all(const ErrorInfo& error, StepReport& report) {
  for (const std::unique_ptr<RunningRequest>& request : queue_) report.fail(*request, error);
  queue_.clear();
  is_running_ = false;
}

void SoloLane::tell_progress(bool all, StepReport& report) {
  const int n_running = is_running_ ? 1 : 0;
  for (int i = 0; i < static_cast<int>(queue_.size()); ++i) {
    RunningRequest& request = *queue_[i];
    const bool is_waiting = i >= n_running;
    if (request.has_begun_to_answer()) continue;
    if (!all && (is_waiting || !request.params().wants_progress)) continue;
    ProgressEvent event = request.tell_progress();
    event.position = is_waiting ? i + 1 - n_running : 0;
    event.n_waiting = static_cast<int>(queue_.size()) - n_running;
    report.events.push_back({request.ticket().id, event});
  }
}

void SoloLane::count(EngineStats& stats) const {
  stats.n_running += is_running_ ? 1 : 0;
  stats.n_waiting += static_cast<int64_t>(queue_.size()) - (is_running_ ? 1 : 0);
  for (size_t i = 0; i < queue_.size(); ++i) {
    const bool is_running = is_running_ && i == 0;
    note_adapters(*queue_[i], is_running ? stats.running_adapters : stats.waiting_adapters);
  }
}

}  // namespace pyserve
