// Chooses by measurement how many requests decode in one step.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "sched/step/recent.h"

namespace pyserve {

struct ConcurrencyOptions {
  int n_max = 1;            // requests that run at once; >= 1
  double min_gain = 0.05;   // of throughput, for which some are left out
  double keep_gain = 0.02;  // with which a limit is kept
  double tie = 0.03;        // sizes this close to the best count as equal
  int probe_every = 256;    // steps between probes of sizes that are known
  int learn_every = 64;     // steps between probes of sizes that are not
  int n_probe_steps = 3;    // steps of a probe
};

// How many of `n_ready` rows one step should compute. `costs[n - 1]` is the cost of a step of n
// rows, in any unit; 0: not measured. `n_limit` is the limit so far, 0: none.
// The smallest size within `tie` of the best throughput, when that is `min_gain` above the
// throughput of all; else, and when the throughput of all is not known, `n_ready`.
// Returns at least 1 and at most `n_ready`. REQUIRES: n_ready >= 1.
int choose_rows(std::span<const double> costs, int n_ready, int n_limit,
                const ConcurrencyOptions& options);

// Measures steps of different sizes and chooses the best. On many CPUs twice the rows take more
// than twice the time; then taking turns serves everyone sooner, and no one is kept out.
//
// It is a limit for a step, not for admission: who waits for a place has no first token.
// Now and then a few steps run with another size, to learn what it costs. Costs are relative to
// those of the steps just before, so that a machine that slows down between two probes, or contexts
// that grow, do not look like a difference between sizes.
// Thread: engine thread only.
class Concurrency {
 public:
  explicit Concurrency(const ConcurrencyOptions& options);

  // Rows of the next step, of `n_ready` requests that could decode: [1, min(n_ready, n_max)].
  // Only for steps without prompts: beside a prompt all should decode, as a turn that is left out
  // makes their inter-token latency a multiple of the time that the prompt was given.
  // REQUIRES: n_ready >= 1.
  int plan(int n_ready);

  // The planned step has decoded `n_rows` and taken `step_ms`, sampling and publishing included.
  void observe(int n_rows, double step_ms);

  // The limit that plan() last applied; 0: none.
  int n_limit() const { return n_limit_; }

 private:
  struct Size {
    Recent<9> costs;
    int64_t probed_at = 0;  // step; 0: never
  };

  bool is_known(int n_rows) const { return sizes_[n_rows - 1].costs.is_full(); }
  void choose_limit(int n_ready);
  bool start_probe(int n_ready, int n_rows);
  int stalest(int n_ready, int n_rows) const;

  const ConcurrencyOptions options_;
  std::vector<Size> sizes_;    // [n_rows - 1]
  std::vector<double> costs_;  // medians of the known sizes, else 0
  Recent<9> slowdowns_;        // recent steps, relative to what their size has cost
  int n_limit_ = 0;
  int n_probed_rows_ = 0;  // 0: no probe
  int n_probe_steps_left_ = 0;
  int64_t n_steps_ = 0;
  int64_t last_probe_at_ = 0;
};

}  // namespace pyserve
