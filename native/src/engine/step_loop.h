// The engine thread: takes requests in, has the lanes compute, publishes what they say.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "base/queue.h"
#include "engine/lanes/batch_lane.h"
#include "engine/lanes/embedding_lane.h"
#include "engine/lanes/solo_lane.h"
#include "engine/request/registry.h"
#include "engine/request/running_request.h"
#include "llama/model/model.h"
#include "pyserve/config.h"

namespace pyserve {

// Thread: run() is the engine thread; submit(), wake(), clear_prefixes(), request_stop() and
// stats() are for any.
class StepLoop {
 public:
  StepLoop(const Model& model, const EngineConfig& config, Registry& registry);
  ~StepLoop();

  // Takes a request that was accepted. After request_stop() it fails with kCancelled.
  void submit(std::unique_ptr<PreparedRequest> request);
  // Looks at cancelled tickets soon.
  void wake() { inbox_.push(nullptr); }

  // Requests that are submitted later find no prefix that was computed before.
  void clear_prefixes() {
    forgets_ = true;
    wake();
  }

  // Until request_stop(); then fails every request it has.
  void run();
  void request_stop();

  EngineStats stats() const;
  BlockLog* blocks() const { return batch_.blocks(); }
  const Context& context() const { return batch_.context(); }
  const Guesser* guesser() const { return batch_.guesser(); }
  // Most tokens of a prompt whose numbers are asked for.
  int n_pooled() const { return embedding_.n_most(); }

 private:
  void take_inbox();
  Lane& lane_of(const RunningRequest& request);
  double wait_ms() const;
  void step();
  void fail_all(const ErrorInfo& error);
  void tell_progress();
  void publish();

  const Model& model_;
  const bool is_deterministic_;
  Registry& registry_;
  BatchLane batch_;
  SoloLane solo_;
  EmbeddingLane embedding_;
  Lane* const lanes_[3] = {&batch_, &solo_, &embedding_};

  Queue<std::unique_ptr<PreparedRequest>> inbox_;
  std::atomic<bool> is_stopping_{false};
  std::atomic<bool> forgets_{false};

  StepReport report_;
  TimePoint told_at_;
  TimePoint told_all_at_;
  mutable std::mutex stats_mutex_;
  EngineStats published_;
};

}  // namespace pyserve
