// Chooses how many threads compute a step: fewer when another process takes their cores.
#pragma once

#include <vector>

namespace pyserve {

struct ThreadCountOptions {
  double preempted_per_s = 25;   // involuntary switches that make a trial worth it
  double gain = 0.08;            // of time, for which the number changes
  double loss = 0.15;            // of time, at which a trial is given up
  double first_wait_ms = 2'000;  // between trials; doubles with every one that changes nothing,
                                 // twice when it was given up
  double max_wait_ms = 30'000;
  int n_block_steps = 4;  // of one number in a trial; the first one does not count
  int n_blocks = 4;       // of a trial, alternating
  int n_others_max = 40;  // steps of another size, after which a trial is given up
};

// A step ends when its slowest thread does: one that shares its core with a neighbour makes all
// others wait at every node of the graph, and fewer threads are then faster. So when threads are
// preempted a lot, steps alternate between two numbers for a while and the faster one stays; a
// number below what is allowed is tried against the next higher one now and then.
// Only steps that decode the same number of rows are compared.
// Thread: engine thread only.
class ThreadCount {
 public:
  explicit ThreadCount(const ThreadCountOptions& options = {}) : options_(options) {}

  // Threads of the next step, of `n_allowed`. `n_rows`: of a step that only decodes, else 0.
  int plan(int n_allowed, int n_rows, double now_ms);

  // The planned step took `step_ms`; the process has been switched out `n_preempted` times in all.
  void observe(double step_ms, double now_ms, long n_preempted);

  // The limit in force; 0: none.
  int n_limit() const { return n_limit_; }

 private:
  int current(int n_allowed) const;
  void start_trial(int n_allowed, int n_rows, double now_ms);
  // Whether a step of a block with the other number shows that it is worse: with fewer threads one
  // does; with more it may have been disturbed, as those were that the limit is for.
  bool is_lost(double step_ms);
  void finish_trial(double now_ms);
  void wait(double factor, double now_ms);

  const ThreadCountOptions options_;
  int n_limit_ = 0;
  bool is_preempted_ = false;   // for two counts, for a crowd of requests that begin is short
  bool was_preempted_ = false;  // in the last one
  long n_preempted_ = -1;
  double counted_at_ms_ = 0;
  double wait_ms_ = 0;  // 0: no trial yet that changed nothing
  double next_trial_ms_ = 0;
  // The trial: its numbers, and the times of steps with each.
  int n_allowed_ = 0;
  int n_rows_ = 0;           // 0: no trial
  bool is_counted_ = false;  // the planned step belongs to it
  int n_step_ = 0;
  int n_others_ = 0;
  int n_slow_ = 0;  // steps of the other number that were slower by the loss
  int numbers_[2] = {0, 0};
  std::vector<double> times_[2];
};

}  // namespace pyserve
