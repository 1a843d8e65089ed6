// The engine thread: plan, decode, sample, commit, publish.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "base/queue.h"
#include "engine/admission.h"
#include "engine/registry.h"
#include "engine/running.h"
#include "kv/prefix_cache.h"
#include "llama/context.h"
#include "llama/model.h"
#include "pyserve/config.h"
#include "sched/plan.h"

namespace pyserve {

// Thread: run() is the engine thread; submit(), wake(), request_stop() and stats() are for any.
class StepLoop {
 public:
  StepLoop(const Model& model, const EngineConfig& config, Registry& registry);
  ~StepLoop();

  // Takes a request that was accepted. After request_stop() it fails with kCancelled.
  void submit(std::unique_ptr<PreparedRequest> request);
  // Looks at cancelled tickets soon.
  void wake() { inbox_.push(nullptr); }

  // Until request_stop(); then fails every request it has.
  void run();
  void request_stop();

  EngineStats stats() const;
  const Context& context() const { return context_; }

 private:
  using RunningPtr = std::unique_ptr<RunningRequest>;

  void take_inbox();
  void drop_cancelled();
  void step();
  void preempt(const std::vector<int>& indices);
  DecodeStatus decode(const StepPlan& plan);
  void handle_failed_decode(DecodeStatus status, const StepPlan& plan);
  void commit(const StepPlan& plan);
  void learn_speed(const StepPlan& plan, double step_ms);

  void leave(RunningRequest& request, bool keep_cells);
  void fail_running(size_t index, ErrorInfo error);
  void fail_all(const ErrorInfo& error);
  void check_cache() const;
  void publish_stats();

  const Model& model_;
  const EngineConfig config_;
  Registry& registry_;
  Context context_;
  PrefixCache cache_;
  Admission admission_;

  Queue<std::unique_ptr<PreparedRequest>> inbox_;
  std::atomic<bool> is_stopping_{false};

  std::deque<RunningPtr> waiting_;
  std::vector<RunningPtr> running_;  // oldest first
  std::vector<Event> events_;        // of this step
  SampleScratch scratch_;
  double ms_per_prompt_token_ = 0;  // running estimate, 0 = unknown

  EngineStats counters_;
  mutable std::mutex stats_mutex_;
  EngineStats published_;
};

}  // namespace pyserve
