// The interface of a lane: one of the ways that requests run on the engine thread.
#pragma once

#include <memory>
#include <vector>

#include "engine/request/running_request.h"

namespace pyserve {

// What lanes tell the step loop: events to publish, counters to keep.
struct StepReport {
  std::vector<Event> events;
  EngineStats counters;

  void fail(const RunningRequest& request, ErrorInfo error) {
    events.push_back({request.ticket().id, FailedEvent{std::move(error)}});
  }
};

// Thread: engine thread only.
class Lane {
 public:
  virtual ~Lane() = default;

  // Takes a request that has not started.
  virtual void add(std::unique_ptr<RunningRequest> request) = 0;
  virtual bool is_idle() const = 0;
  // Ends cancelled requests, running or waiting.
  virtual void drop_cancelled(StepReport& report) = 0;
  // Starts what can start and computes one step, if there is anything to do.
  virtual void step(StepReport& report) = 0;
  virtual void fail_all(const ErrorInfo& error, StepReport& report) = 0;
};

inline ErrorInfo cancelled_error() {
  return {ErrorCode::kCancelled, "the request was cancelled", {}, {}};
}

inline ErrorInfo failed_step_error() {
  return {ErrorCode::kInternal, "the model could not compute this step", {}, {}};
}

inline ErrorInfo deadline_error(const RunningRequest& request) {
  ErrorInfo error{ErrorCode::kDeadlineExceeded, {}, {}, {}};
  const auto waited_ms = static_cast<int64_t>(request.waited_ms());
  const auto deadline_ms = static_cast<int64_t>(request.params().deadline_ms);
  error.message = "the request still waited after " + std::to_string(waited_ms) +
                  " ms, its deadline was " + std::to_string(deadline_ms) + " ms";
  error.details = {{"waited_ms", waited_ms}, {"deadline_ms", deadline_ms}};
  return error;
}

}  // namespace pyserve
