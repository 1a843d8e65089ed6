// The lane of requests for an embedding or a rank: many prompts in one step, without an answer.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "engine/lanes/lane.h"
#include "engine/lanes/pooled.h"
#include "engine/lanes/shared_beginning.h"
#include "llama/context/context.h"
#include "llama/model/model.h"
#include "pyserve/config.h"

namespace pyserve {

// The prompts run in a context of their own that gives the states of all tokens. Long prompts are
// computed over several steps; where tokens see those after them that cannot be, and prompts longer
// than a step are refused.
// Where the last state alone counts, prompts share the cells of what they begin with: of one that
// runs, for which they wait, or of the last one that was computed, which is kept for them.
// It shares the compute threads of the batch, between whose steps it takes its own.
class EmbeddingLane final : public Lane {
 public:
  // The model and `threads` must outlive it. The context is made for the first request.
  EmbeddingLane(const Model& model, const EngineConfig& config, const Context& threads);

  void add(std::unique_ptr<RunningRequest> request) override {
    waiting_.push_back(std::move(request));
  }
  bool is_idle() const override { return waiting_.empty() && running_.empty(); }
  bool has_foreground() const override;
  void drop_cancelled(StepReport& report) override;
  void step(StepReport& report) override;
  void fail_all(const ErrorInfo& error, StepReport& report) override;

  // Most tokens of a prompt. Thread: any.
  int n_most() const { return model_.is_bidirectional() ? config_.n_batch : config_.n_ctx; }
  // Takes smaller steps while other lanes have work, so that these go on soon.
  void yield_to_others(bool is_wanted) { yields_ = is_wanted; }
  // Adds to the gauges.
  void count(EngineStats& stats) const;

 private:
  struct Running {
    std::unique_ptr<RunningRequest> request;
    PooledState pooled;
    int n_shared = 0;   // tokens that it began with
    int n_planned = 0;  // tokens of this step
    bool is_over = false;
  };
  struct Kept {
    SeqId seq_id = -1;  // < 0: none
    std::vector<Token> tokens;
    std::string cache_key;
  };

  bool open_context(StepReport& report);
  void drop_expired(StepReport& report);
  void put_back_background();
  void admit(StepReport& report);
  bool has_cells_for(const RunningRequest& request, const SharedBeginning& shared) const;
  bool undo_last();
  SharedBeginning find_shared(const RunningRequest& request) const;
  void start(std::unique_ptr<RunningRequest> request, const SharedBeginning& shared,
             StepReport& report);
  std::unique_ptr<RunningRequest> take_next();
  bool can_compute(const RunningRequest& request, StepReport& report) const;
  SeqId free_seq_id() const;
  std::vector<BatchItem> plan();
  void pool(StepReport& report);
  std::vector<float> numbers(const Running& running) const;
  void keep(const RunningRequest& request);
  void drop_kept();
  void end_planned(ErrorInfo error, StepReport& report);
  void drop_over();

  const Model& model_;
  const bool shares_;
  const EngineConfig config_;
  const Context& threads_;
  std::unique_ptr<Context> context_;
  std::deque<std::unique_ptr<RunningRequest>> waiting_;
  std::vector<Running> running_;  // in order of their start
  Kept kept_;
  bool is_full_ = false;  // nothing starts before something has ended
  bool yields_ = false;
};

}  // namespace pyserve
