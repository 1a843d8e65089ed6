#include "engine/step_loop.h"

#include <algorithm>
#include <utility>

namespace pyserve {
namespace {

// Requests that want to know are told so often where they are, and all of them so often.
constexpr double kTellMs = 250;
constexpr double kTellAllMs = 1000;

}  // namespace

StepLoop::StepLoop(const Model& model, const EngineConfig& config, Registry& registry)
    : model_(model),
      is_deterministic_(config.is_deterministic),
      registry_(registry),
      batch_(model, config, [this] { wake(); }),
      solo_(model, config, batch_.context()),
      embedding_(model, config, batch_.context()) {
  publish();
}

StepLoop::~StepLoop() = default;

void StepLoop::submit(std::unique_ptr<PreparedRequest> request) {
  const std::shared_ptr<Ticket> ticket = request->ticket;
  const bool is_background = request->request.is_background;
  if (inbox_.push(std::move(request))) {
    if (!is_background) batch_.want_way(true);
    return;
  }
  registry_.fail(*ticket, {ErrorCode::kCancelled, "the engine has been stopped", {}, {}});
}

void StepLoop::request_stop() {
  is_stopping_ = true;
  batch_.request_abort();
  inbox_.close();
}

void StepLoop::run() {
  while (true) {
    take_inbox();
    if (is_stopping_) break;
    try {
      step();
      tell_progress();
    } catch (const std::exception& error) {
      fail_all({ErrorCode::kInternal, std::string("the engine failed: ") + error.what(), {}, {}});
    }
    publish();
  }
  fail_all({ErrorCode::kCancelled, "the engine has been stopped", {}, {}});
  publish();
  batch_.save_prefixes();
}

void StepLoop::take_inbox() {
  const double pause_ms = wait_ms();
  if (pause_ms != 0) context().pulse().rest();
  batch_.want_way(false);  // NOTE: before; what comes after is told again
  auto arrived = inbox_.take_all(pause_ms);
  context().pulse().beat();
  if (forgets_.exchange(false)) batch_.clear_prefixes();
  for (auto& prepared : arrived) {
    if (prepared == nullptr) continue;
    auto request =
        std::make_unique<RunningRequest>(model_, std::move(*prepared), context().n_ctx());
    Lane& lane = lane_of(*request);
    lane.add(std::move(request));
  }
}

Lane& StepLoop::lane_of(const RunningRequest& request) {
  if (request.params().is_pooled()) return embedding_;
  if (is_deterministic_ || request.params().is_deterministic) return solo_;
  return batch_;
}

double StepLoop::wait_ms() const {
  double shortest_ms = -1;
  for (const Lane* lane : lanes_) {
    const double lane_ms = lane->wait_ms();
    if (lane_ms >= 0 && (shortest_ms < 0 || lane_ms < shortest_ms)) shortest_ms = lane_ms;
  }
  return shortest_ms;
}

void StepLoop::step() {
  const bool is_held =
      std::ranges::any_of(lanes_, [](const Lane* lane) { return lane->has_foreground(); });
  embedding_.yield_to_others(is_held ? batch_.has_foreground() || solo_.has_foreground()
                                     : !batch_.is_idle() || !solo_.is_idle());
  for (Lane* lane : lanes_) {
    lane->hold_background(is_held);
    lane->drop_cancelled(report_);
    lane->step(report_);
  }
}

void StepLoop::tell_progress() {
  const TimePoint now = Clock::now();
  if (elapsed_ms(told_at_, now) < kTellMs) return;
  told_at_ = now;
  const bool all = elapsed_ms(told_all_at_, now) >= kTellAllMs;
  if (all) told_all_at_ = now;
  for (Lane* lane : lanes_) lane->tell_progress(all, report_);
}

void StepLoop::fail_all(const ErrorInfo& error) {
  for (Lane* lane : lanes_) lane->fail_all(error, report_);
  for (auto& prepared : inbox_.take_all(0)) {
    if (prepared == nullptr) continue;
    report_.events.push_back({prepared->ticket->id, FailedEvent{error}});
  }
}

void StepLoop::publish() {
  EngineStats& counters = report_.counters;
  counters.n_running = counters.n_waiting = 0;
  counters.running_adapters.clear();
  counters.waiting_adapters.clear();
  batch_.count(counters);
  solo_.count(counters);
  embedding_.count(counters);
  {
    std::lock_guard lock(stats_mutex_);
    published_ = counters;
  }
  registry_.publish(std::exchange(report_.events, {}));
}

EngineStats StepLoop::stats() const {
  std::lock_guard lock(stats_mutex_);
  EngineStats stats = published_;
  batch_.count_files(stats);
  stats.stalled_ms = context().pulse().stalled_ms();
  return stats;
}

}  // namespace pyserve
