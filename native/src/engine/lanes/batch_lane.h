// The lane of most requests, many in one batch: plan, decode, sample, commit.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "engine/batch/admission.h"
#include "engine/batch/guessers.h"
#include "engine/batch/step_planner.h"
#include "engine/batch/worker_pool.h"
#include "engine/lanes/lane.h"
#include "engine/prefixes/disk_prefixes.h"
#include "kv/prefix_cache.h"
#include "llama/context/context.h"
#include "llama/model/model.h"
#include "pyserve/config.h"

namespace pyserve {

class BatchLane final : public Lane {
 public:
  // wake: has the engine thread take a step soon; other threads call it.
  BatchLane(const Model& model, const EngineConfig& config, std::function<void()> wake);

  void add(std::unique_ptr<RunningRequest> request) override { admission_.add(std::move(request)); }
  bool is_idle() const override { return running_.empty() && admission_.n_waiting() == 0; }
  double wait_ms() const override;
  bool has_foreground() const override;
  void drop_cancelled(StepReport& report) override;
  void step(StepReport& report) override;
  void fail_all(const ErrorInfo& error, StepReport& report) override;
  void tell_progress(bool all, StepReport& report) override;
  // Keeps no prefix but those of running requests.
  void clear_prefixes() { cache_.clear(); }
  // The engine ends: what is worth it goes to disk, within a limit of time.
  void save_prefixes();
  // Stops a running step soon. Thread: any.
  void request_abort() { context_.request_abort(); }
  // A running step of any lane that has nothing but requests in the background stops soon, where
  // that spoils nothing. Thread: any.
  void want_way(bool is_wanted) { context_.want_way(is_wanted); }

  // Sets the gauges: what is held now.
  void count(EngineStats& stats) const;
  // The same of prefixes on disk, by now. Thread: any.
  void count_files(EngineStats& stats) const {
    if (disk_ != nullptr) disk_->count_files(stats);
  }
  const Context& context() const { return context_; }
  // What prefixes' blocks do; nullptr: nobody is told. Thread: any.
  BlockLog* blocks() const { return blocks_.get(); }
  // nullptr: none.
  const Guesser* guesser() const { return guessers_.guesser.get(); }

 private:
  using RunningPtr = std::unique_ptr<RunningRequest>;
  // What a step has computed for one request.
  struct Outcome {
    int n_logits = 0;
    int n_computed = 0;               // without what turns out to be right of the draft
    std::optional<DeltaEvent> delta;  // none in spite of logits: a row is unusable
  };

  // Of the model, with that of its head if there is one.
  SequenceMemory& memory();
  void end_late(StepReport& report);
  void admit(StepReport& report);
  bool make_way(StepReport& report);
  void preempt(const std::vector<int>& indices, StepReport& report);
  DecodeStatus decode(const StepPlan& plan);
  void handle_failed_decode(DecodeStatus status, const StepPlan& plan, StepReport& report);
  void charge(const StepPlan& plan, const StepSample& sample, double step_ms,
              EngineStats& counters);
  std::vector<Outcome> advance(const StepPlan& plan);
  // Returns how many tokens were said of answers that had begun before.
  int commit(const StepPlan& plan, std::vector<Outcome> outcomes, StepReport& report);
  void fail_running(size_t index, const ErrorInfo& error, bool keep_cells, StepReport& report);
  void remove_running(size_t index, bool keep_cells);
  // The request leaves its place, and all that it has computed to others.
  void release(const RunningRequest& request);
  // The cache keeps what it has computed: it may be worth the disk.
  void note(const RunningRequest& request);
  bool is_busy() const { return !running_.empty() || admission_.can_start(); }
  void check_cache() const;

  const Model& model_;
  const EngineConfig config_;
  Context context_;
  const Guessers guessers_;
  const std::unique_ptr<BlockLog> blocks_;  // may be null
  PrefixCache cache_;
  const std::unique_ptr<DiskPrefixes> disk_;  // may be null
  Admission admission_;
  std::vector<RunningPtr> running_;  // oldest first
  StepPlanner planner_;
  TimePoint stepped_at_;  // the end of the last step, or the begin of work
  WorkerPool samplers_;
  std::vector<SampleScratch> scratches_;  // of each sampling thread
};

}  // namespace pyserve
