// Admits waiting requests to the batch, each with a prefix that others have computed.
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "engine/prefixes/disk_prefixes.h"
#include "engine/request/running_request.h"
#include "kv/prefix_cache.h"
#include "sched/admission/start_forecast.h"
#include "sched/admission/wait_queue.h"

namespace pyserve {

// Holds the waiting requests; sched/admission/wait_queue.h says who is next. A request whose prefix
// another one is computing right now is held back and then forks it; its place is kept, and nothing
// waits for a request that does not run. Thread: engine thread only.
class Admission {
 public:
  using RunningPtr = std::unique_ptr<RunningRequest>;

  // The cache and the disk, which may be null, must outlive it.
  Admission(PrefixCache& cache, DiskPrefixes* disk, int n_seq_max)
      : cache_(cache), disk_(disk), n_seq_max_(n_seq_max) {}

  void add(RunningPtr request) { waiting_.push_back(std::move(request)); }
  size_t n_waiting() const { return waiting_.size(); }
  const std::vector<RunningPtr>& waiting() const { return waiting_; }
  // admit() might start one: not all wait for the disk.
  bool can_start() const { return waiting_.size() > n_reading_; }

  // Takes out every waiting request that `is_wanted`.
  std::vector<RunningPtr> take(const std::function<bool(const RunningRequest&)>& is_wanted);

  // Moves requests to the end of `running` and counts their prefixes; with `holds_background` none
  // of those in the background, and those of them that run are on their way to nothing.
  // Returns those that have waited until their deadline; they are out of the queue.
  std::vector<RunningPtr> admit(std::vector<RunningPtr>& running, bool holds_background,
                                EngineStats& counters);
  // A request that is not in the background found no room just now.
  bool lacks_room() const { return lacks_room_; }
  // Whether one that is not in the background waits.
  bool has_foreground() const;

  // Tells those that wait their places, as they would start if nothing else came.
  void tell_places(const std::vector<RunningPtr>& running, std::vector<Event>& events) const;
  // How long a request that came now would wait; < 0: unknown.
  double wait_ms(const std::vector<RunningPtr>& running) const;
  // Learns from steps and answers, for both.
  StartForecast& forecast() { return forecast_; }

  // A step has generated `n_tokens` for `tenant`.
  void charge_decode(std::string_view tenant, int n_tokens, bool is_background) {
    queue_.charge_decode(tenant, n_tokens, is_background);
  }

 private:
  std::vector<WaitingView> views(bool with_prefixes) const;
  std::vector<double> start_ms(const std::vector<RunningPtr>& running,
                               const std::vector<LoadView>& waiting) const;
  bool must_read(RunningRequest& request);
  int tokens_to_wait_for(const RunningRequest& request, const std::vector<RunningPtr>& running,
                         bool holds_background);
  bool has_room_for(const RunningRequest& request, const std::vector<RunningPtr>& running,
                    int n_held_tokens) const;
  void start(RunningRequest& request, EngineStats& counters);

  PrefixCache& cache_;
  DiskPrefixes* const disk_;
  const int n_seq_max_;
  WaitQueue queue_;
  std::vector<RunningPtr> waiting_;
  StartForecast forecast_;
  size_t n_reading_ = 0;  // so many of them wait for the disk
  bool lacks_room_ = false;
};

}  // namespace pyserve
