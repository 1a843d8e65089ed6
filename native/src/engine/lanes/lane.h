// The interface of a lane: one of the ways that requests run on the engine thread.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/event_rate.h"
#include "engine/request/running_request.h"

namespace pyserve {

// What lanes tell the step loop: events to publish, counters to keep.
struct StepReport {
  std::vector<Event> events;
  EngineStats counters;

  void fail(const RunningRequest& request, ErrorInfo error) {
    events.push_back({request.ticket().id, FailedEvent{std::move(error)}});
  }
  // Its time is over.
  void end_late(RunningRequest& request);
  // What a step added to its answer.
  void add(RunningRequest& request, DeltaEvent delta) {
    if (auto progress = request.last_progress()) {
      events.push_back({request.ticket().id, *progress});
    }
    counters.n_tokens_max = std::max<int64_t>(counters.n_tokens_max, request.progress().n_known());
    count(request.take_cost(delta.n_tokens));
    events.push_back({request.ticket().id, std::move(delta)});
  }

 private:
  void count(const TokenCost& cost);
  void count_draft(const TokenCost& cost);
};

// Thread: engine thread only.
class Lane {
 public:
  virtual ~Lane() = default;

  // Takes a request that has not started.
  virtual void add(std::unique_ptr<RunningRequest> request) = 0;
  virtual bool is_idle() const = 0;
  // How long the engine may wait for new requests before the next step: 0 not at all, < 0 for ever.
  virtual double wait_ms() const { return is_idle() ? -1 : 0; }
  // Whether a request that is not in the background runs or waits.
  virtual bool has_foreground() const = 0;
  // From now on requests in the background take no steps, and no places that others want.
  void hold_background(bool is_held) { holds_background_ = is_held; }
  // Ends cancelled requests, running or waiting.
  virtual void drop_cancelled(StepReport& report) = 0;
  // Starts what can start and computes one step, if there is anything to do.
  virtual void step(StepReport& report) = 0;
  virtual void fail_all(const ErrorInfo& error, StepReport& report) = 0;
  // Tells requests without an answer where they are: all of them, or those that want to know often.
  virtual void tell_progress(bool /*all*/, StepReport& /*report*/) {}

 protected:
  bool holds_background_ = false;
};

inline bool is_foreground(const std::unique_ptr<RunningRequest>& request) {
  return !request->params().is_background;
}

// Adds a request's adapters to those that are named already, sorted.
inline void note_adapters(const RunningRequest& request, std::vector<int>& named) {
  for (const AdapterScale& used : request.params().adapters) {
    const auto place = std::ranges::lower_bound(named, used.adapter);
    if (place == named.end() || *place != used.adapter) named.insert(place, used.adapter);
  }
}

inline ErrorInfo cancelled_error() {
  return {ErrorCode::kCancelled, "the request was cancelled", {}, {}};
}

inline ErrorInfo failed_step_error() {
  return {ErrorCode::kInternal, "the model could not compute this step", {}, {}};
}

// The request has no answer in time; it `still` did what after `limit_ms`.
inline ErrorInfo late_error(const RunningRequest& request, const char* still, double limit_ms) {
  ErrorInfo error{ErrorCode::kDeadlineExceeded, {}, {}, {}};
  const auto waited_ms = static_cast<int64_t>(request.waited_ms());
  const auto deadline_ms = static_cast<int64_t>(limit_ms);
  error.message = "the request still " + std::string(still) + " after " +
                  std::to_string(waited_ms) + " ms, its deadline was " +
                  std::to_string(deadline_ms) + " ms";
  error.details = {{"waited_ms", waited_ms}, {"deadline_ms", deadline_ms}};
  return error;
}

// wait_ms: how long a request waits now; < 0: not known.
inline ErrorInfo deadline_error(const RunningRequest& request, double wait_ms = -1) {
  ErrorInfo error = late_error(request, "waited", request.params().deadline_ms);
  if (wait_ms >= 0) error.details["retry_after_s"] = retry_after_s(wait_ms);
  return error;
}

inline void StepReport::count(const TokenCost& cost) {
  if (cost.n_drafted > 0) count_draft(cost);
  if (cost.gap_ms < 0 || cost.n_tokens == 0) return;
  const auto found = std::ranges::find_if(
      counters.gaps, [&](const auto& bucket) { return cost.gap_ms <= bucket.first; });
  found->second += cost.n_tokens;
  counters.gaps_ms += cost.gap_ms * cost.n_tokens;
}

inline void StepReport::count_draft(const TokenCost& cost) {
  counters.n_draft_tokens += cost.n_drafted;
  counters.n_draft_accepted += cost.n_accepted;
  ++counters.n_drafts;
  std::vector<int64_t>& accepted = counters.n_accepted_at;
  accepted.resize(std::max(accepted.size(), static_cast<size_t>(cost.n_drafted)));
  for (int i = 0; i < cost.n_accepted; ++i) ++accepted[i];
  const std::string kind = name_of(cost.draft_kind);
  auto found = std::ranges::find(counters.drafts, kind, &DraftCount::kind);
  if (found == counters.drafts.end()) {
    found = counters.drafts.insert(found, DraftCount{kind, 0, 0});
  }
  found->n_tokens += cost.n_drafted;
  found->n_accepted += cost.n_accepted;
}

inline void StepReport::end_late(RunningRequest& request) {
  if (!request.has_begun_to_answer()) {
    return fail(request, late_error(request, "had no answer", request.params().max_total_ms));
  }
  add(request, request.finish_early());
}

}  // namespace pyserve
