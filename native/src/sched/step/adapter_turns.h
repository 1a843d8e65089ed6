// Chooses the adapters of the next step: pure policy over those of the running requests.
#pragma once

#include <span>
#include <vector>

#include "pyserve/request.h"

namespace pyserve {

// All rows of a step have the same adapters. Sets of them take turns, in the order in which they
// began to wait, so none starves; a turn lasts some steps, because a change of adapters takes time.
// Thread: engine thread only.
class AdapterTurns {
 public:
  // While others wait, a turn ends after the step in which it is `turn_ms` old.
  explicit AdapterTurns(double turn_ms) : turn_ms_(turn_ms) {}

  // The set of the next step, one of `running`; valid until the next call.
  // REQUIRES: !running.empty(); now_ms does not go back.
  const AdapterSet& next(std::span<const AdapterSet* const> running, double now_ms);

 private:
  const double turn_ms_;
  AdapterSet current_;
  double began_ms_ = 0;
  std::vector<AdapterSet> waiting_;  // longest first; each is of a running request
};

}  // namespace pyserve
