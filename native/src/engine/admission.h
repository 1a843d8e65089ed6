// Which waiting requests start, and with which of the prefixes that others have computed.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "engine/running.h"
#include "kv/prefix_cache.h"

namespace pyserve {

// In order of arrival. A request whose prefix another one is computing right now is held back and
// then forks it; its place is kept, and nothing waits for a request that does not run.
// Thread: engine thread only.
class Admission {
 public:
  using RunningPtr = std::unique_ptr<RunningRequest>;

  // The cache must outlive it.
  Admission(PrefixCache& cache, int n_seq_max) : cache_(cache), n_seq_max_(n_seq_max) {}

  // Moves requests from `waiting` to the end of `running`, oldest first, and counts their prefixes.
  void admit(std::deque<RunningPtr>& waiting, std::vector<RunningPtr>& running,
             EngineStats& counters);

 private:
  int tokens_to_wait_for(const RunningRequest& request, const std::vector<RunningPtr>& running);
  bool has_room_for(const RunningRequest& request, const std::vector<RunningPtr>& running,
                    int n_held_tokens) const;
  void start(RunningRequest& request, EngineStats& counters);

  PrefixCache& cache_;
  const int n_seq_max_;
};

}  // namespace pyserve
