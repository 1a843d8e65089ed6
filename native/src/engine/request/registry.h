// The unfinished requests, and the events on their way out.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/event_rate.h"
#include "base/queue.h"
#include "pyserve/request.h"

namespace pyserve {

// Shared by the threads a request passes through; lives until its last event is published.
struct Ticket {
  RequestId id = 0;
  TimePoint submitted_at;
  std::atomic<bool> is_cancelled{false};
};

// Thread: any, but take_events() is for one consumer. Events of one request come from one thread
// at a time. A request has at most n_ctx events, which bounds what waits here.
class Registry {
 public:
  explicit Registry(size_t n_open_max) : n_open_max_(n_open_max) {}

  // Throws EngineError: kQueueFull when n_open_max requests are open, kUnavailable after close(),
  // kInvalidRequest when the id is in use.
  std::shared_ptr<Ticket> open(RequestId id) {
    std::lock_guard lock(mutex_);
    if (is_closed_) throw EngineError(ErrorCode::kUnavailable, "the engine has been stopped");
    if (open_.size() >= n_open_max_) {
      ErrorInfo info{ErrorCode::kQueueFull,
                     "all " + std::to_string(n_open_max_) + " places are taken, try again later",
                     {},
                     {{"n_open", static_cast<int64_t>(open_.size())}}};
      // Half of the places are free then.
      const double ms_per_end = ends_.ms_per_event(Clock::now());
      const double wait_ms = ms_per_end * static_cast<double>(open_.size()) / 2;
      if (wait_ms >= 0) info.details["retry_after_s"] = retry_after_s(wait_ms);
      throw EngineError(std::move(info));
    }
    if (open_.empty()) ends_.clear();
    auto ticket = std::make_shared<Ticket>();
    ticket->id = id;
    ticket->submitted_at = Clock::now();
    if (!open_.emplace(id, ticket).second) {
      throw EngineError(ErrorCode::kInvalidRequest, "the request id is in use");
    }
    return ticket;
  }

  // Marks a request; its thread ends it soon. Returns false when there is no such request.
  bool cancel(RequestId id) {
    std::lock_guard lock(mutex_);
    const auto it = open_.find(id);
    if (it == open_.end()) return false;
    it->second->is_cancelled = true;
    return true;
  }

  // Hands out `events` with one wake-up; a last event closes its request first.
  void publish(std::vector<Event> events) {
    {
      std::lock_guard lock(mutex_);
      for (const Event& event : events) {
        if (!is_last(event)) continue;
        open_.erase(event.id);
        ends_.push(Clock::now());
        count(event);
      }
    }
    outbox_.push_all(std::move(events));
  }

  void fail(const Ticket& ticket, ErrorInfo error) {
    publish({Event{ticket.id, FailedEvent{std::move(error)}}});
  }

  std::vector<Event> take_events(double timeout_ms) {
    std::vector<Event> events = outbox_.take_all(timeout_ms);
    if (events.empty() && outbox_.is_closed()) {
      throw EngineError(ErrorCode::kUnavailable, "the engine has been stopped");
    }
    return events;
  }

  // No more requests; open ones may still publish until close_outbox().
  void close() {
    std::lock_guard lock(mutex_);
    is_closed_ = true;
  }
  void close_outbox() { outbox_.close(); }

  // How the requests of the past ended: n_finished, n_failed and n_cancelled are set.
  EngineStats ended() const {
    std::lock_guard lock(mutex_);
    return ended_;
  }

  size_t n_open() const {
    std::lock_guard lock(mutex_);
    return open_.size();
  }

 private:
  static bool is_last(const Event& event) {
    const auto* delta = std::get_if<DeltaEvent>(&event.body);
    return delta != nullptr ? delta->finish.has_value()
                            : std::holds_alternative<FailedEvent>(event.body);
  }

  void count(const Event& event) {
    const auto* failed = std::get_if<FailedEvent>(&event.body);
    if (failed == nullptr) {
      ++ended_.n_finished;
    } else if (failed->error.code == ErrorCode::kCancelled) {
      ++ended_.n_cancelled;
    } else {
      ++ended_.n_failed;
    }
  }

  const size_t n_open_max_;
  mutable std::mutex mutex_;
  std::unordered_map<RequestId, std::shared_ptr<Ticket>> open_;
  EngineStats ended_;
  EventRate ends_;
  bool is_closed_ = false;
  Queue<Event> outbox_;
};

}  // namespace pyserve
