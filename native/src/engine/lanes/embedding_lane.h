// The lane of embedding requests: many prompts in one step, without an answer.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "engine/lanes/lane.h"
#include "engine/lanes/pooled.h"
#include "llama/context/context.h"
#include "llama/model/model.h"
#include "pyserve/config.h"

namespace pyserve {

// The prompts run in a context of their own that gives the states of all tokens, and that no prefix
// is kept in. Long prompts are computed over several steps; where tokens see those after them that
// cannot be, and prompts longer than a step are refused.
// It shares the compute threads of the batch, between whose steps it takes its own.
class EmbeddingLane final : public Lane {
 public:
  // The model and `threads` must outlive it. The context is made for the first request.
  EmbeddingLane(const Model& model, const EngineConfig& config, const Context& threads);

  void add(std::unique_ptr<RunningRequest> request) override {
    waiting_.push_back(std::move(request));
  }
  bool is_idle() const override { return waiting_.empty() && running_.empty(); }
  void drop_cancelled(StepReport& report) override;
  void step(StepReport& report) override;
  void fail_all(const ErrorInfo& error, StepReport& report) override;

  // Takes smaller steps while other lanes have work, so that these go on soon.
  void yield_to_others(bool is_wanted) { yields_ = is_wanted; }
  // Adds to the gauges.
  void count(EngineStats& stats) const;

 private:
  struct Running {
    std::unique_ptr<RunningRequest> request;
    PooledState pooled;
    int n_planned = 0;  // tokens of this step
    bool is_over = false;
  };

  bool open_context(StepReport& report);
  void drop_expired(StepReport& report);
  void admit(StepReport& report);
  std::unique_ptr<RunningRequest> take_next();
  bool can_compute(const RunningRequest& request, StepReport& report) const;
  SeqId free_seq_id() const;
  std::vector<BatchItem> plan();
  void pool(StepReport& report);
  void end_planned(ErrorInfo error, StepReport& report);
  void drop_over();

  const Model& model_;
  const EngineConfig config_;
  const Context& threads_;
  std::unique_ptr<Context> context_;
  std::deque<std::unique_ptr<RunningRequest>> waiting_;
  std::vector<Running> running_;  // in order of their start
  bool yields_ = false;
};

}  // namespace pyserve
