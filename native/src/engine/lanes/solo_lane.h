// The lane of deterministic requests: one at a time, each as if it had the model alone.
#pragma once

#include <deque>
#include <memory>

#include "engine/lanes/lane.h"
#include "llama/context/context.h"
#include "llama/model/model.h"
#include "pyserve/config.h"

namespace pyserve {

// Sums of floating-point numbers depend on their order: on how many rows a batch has, on which
// cells of the cache a request has got, on where its prompt was cut. Here all of it is the same
// every time: a context of its own, empty at the start of every request, prompt chunks of kChunk
// tokens, then one token per step, always on the same number of threads. So the output depends on
// the request, the model, the build and the number of threads alone. It shares the compute threads
// of the batch, between whose steps it takes its own.
class SoloLane final : public Lane {
 public:
  // The model and `threads` must outlive it. The context is made for the first request.
  SoloLane(const Model& model, const EngineConfig& config, const Context& threads);

  void add(std::unique_ptr<RunningRequest> request) override {
    queue_.push_back(std::move(request));
  }
  bool is_idle() const override { return queue_.empty(); }
  bool has_foreground() const override;
  void drop_cancelled(StepReport& report) override;
  void step(StepReport& report) override;
  void fail_all(const ErrorInfo& error, StepReport& report) override;
  void tell_progress(bool all, StepReport& report) override;

  // Adds to the gauges.
  void count(EngineStats& stats) const;

 private:
  static constexpr int kChunk = 32;

  bool bring_foreground();
  void begin();
  void end();
  void end_late(StepReport& report);
  void drop_expired(StepReport& report);
  void take_logits(RunningRequest& request, int n_logits, StepReport& report);

  const Model& model_;
  const EngineConfig config_;
  const Context& threads_;
  std::unique_ptr<Context> context_;
  std::deque<std::unique_ptr<RunningRequest>> queue_;
  bool is_running_ = false;  // the first of the queue
  int n_replayed_ = 0;       // tokens of its answer that were known when it began
  SampleScratch scratch_;
};

}  // namespace pyserve
