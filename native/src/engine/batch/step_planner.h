// Plans the steps of the batch lane, and learns from how long they took.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "engine/batch/guesser.h"
#include "engine/request/running_request.h"
#include "kv/prefix_cache.h"
#include "pyserve/config.h"
#include "sched/draft/plan.h"
#include "sched/step/adapter_turns.h"
#include "sched/step/concurrency.h"
#include "sched/step/costs.h"
#include "sched/step/plan.h"
#include "sched/step/recent.h"
#include "sched/step/row_costs.h"
#include "sched/step/thread_count.h"

namespace pyserve {

// Turns running requests into the snapshots that the policies of `sched` plan over. A step goes
// plan(), observe_decode(), observe_step(); one that fails ends after plan(), and one that gave way
// with observe_way_given().
// Thread: engine thread only.
class StepPlanner {
 public:
  using Running = std::vector<std::unique_ptr<RunningRequest>>;

  // The cache and the guesser must outlive it; there may be no guesser.
  StepPlanner(const EngineConfig& config, const PrefixCache& cache, Guesser* guesser);

  // The next step of `running`, ordered from the oldest to the youngest. Tells the requests whose
  // turn it is, and which drafts are checked. holds_background: those in it have no turn.
  StepPlan plan(const Running& running, bool holds_background);
  // The adapters of all its requests.
  const AdapterSet& adapters() const { return adapters_; }
  // How many threads compute it.
  int n_threads() const { return n_threads_; }
  // It checks drafts.
  bool has_drafts() const { return n_drafted_ > 0; }

  // The planned step has been computed in `decode_ms`, and its requests have not advanced yet.
  // Returns what was in it.
  StepSample observe_decode(const Running& running, const StepPlan& plan, double decode_ms);
  // The planned step was broken off for others. Those of the background become smaller until one
  // ends, so that it gets on even where somebody comes all the time.
  void observe_way_given(const StepPlan& plan);
  // The same step with all that follows the computation; `gap_ms` since the end of the step before,
  // of which `decode_ms` went to the computation.
  void observe_step(const StepPlan& plan, double step_ms, double gap_ms, double decode_ms);

 private:
  using StepMs = std::function<double(int)>;  // what a step of so many rows costs

  std::vector<RunningView> views(const Running& running, bool holds_background) const;
  StepLimits limits(const Running& running, const std::vector<RunningView>& views);
  double gap_ms(const RunningRequest& request) const;
  void add_drafts(const Running& running, const StepPlan& plan);
  bool can_draft(const StepPlan& plan) const;
  std::vector<int> choose_drafts(const Running& running, const StepPlan& plan,
                                 std::vector<Proposal>& proposals);
  std::vector<Proposal> propose(const Running& running, const StepPlan& plan,
                                const DraftLimits& limits, const StepMs& step_ms);
  int n_guesses(int n_requests, const std::vector<GuessWish>& wishes, const DraftLimits& limits,
                const StepMs& step_ms);

  const EngineConfig config_;
  const PrefixCache& cache_;
  Guesser* const guesser_;
  StepCosts costs_;
  RowCosts row_costs_;
  Concurrency concurrency_;
  ThreadCount threads_;
  AdapterTurns turns_;
  AdapterSet adapters_;
  Recent<15> rests_;  // of the time between two steps, without the computation
  int n_threads_ = 0;
  int n_background_most_;  // prompt tokens of a step of the background, by how many gave way
  int64_t n_turns_ = 0;
  bool is_pure_decode_ = false;  // the planned step has no prompt
  int n_drafted_ = 0;            // tokens of drafts that it checks
  int n_unguessed_ = 0;          // steps since the guesser was last asked
};

}  // namespace pyserve
