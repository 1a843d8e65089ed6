// Chooses how many threads compute a step: fewer when another process takes their cores.
#pragma once

#include <map>
#include <vector>

#include "sched/step/recent.h"
#include "sched/step/trial_budget.h"

namespace pyserve {

struct ThreadCountOptions {
  double preempted_per_s = 25;  // involuntary switches that make a trial worth it
  double gain = 0.08;           // of time, for which the number changes
  double loss = 0.15;           // of time, at which a trial is given up
  double budget = 0.01;         // of the time spent computing, for what trials take longer
  int max_backoff = 32;         // times the price that are saved before a trial of fewer threads;
                                // doubles with every one that changes nothing
  int n_block_steps = 4;        // of one number in a trial; the first one does not count
  int n_blocks = 4;             // of a trial, alternating
  int n_others_max = 40;        // steps of another size, after which a trial is given up
};

// A step ends when its slowest thread does: one that shares its core with a neighbour makes all
// others wait at every node of the graph, and fewer threads are then faster. So when threads are
// preempted a lot, steps alternate between two numbers for a while and the faster one stays; a
// number below what is allowed is tried against the next higher one now and then.
//
// With fewer threads a step takes at most as many times longer as there are fewer of them, of what
// it took when the machine was quiet. Where steps take that long already, a neighbour is at work
// and a trial is free; else its price must be in the budget.
// Only steps that decode the same number of rows are compared.
// Thread: engine thread only.
class ThreadCount {
 public:
  explicit ThreadCount(const ThreadCountOptions& options = {})
      : options_(options), budget_(options.budget) {}

  // Threads of the next step, of `n_allowed`. `n_rows`: of a step that only decodes, else 0.
  int plan(int n_allowed, int n_rows);

  // The planned step took `step_ms`; the process has been switched out `n_preempted` times in all.
  void observe(double step_ms, double now_ms, long n_preempted);

  // The limit in force; 0: none.
  int n_limit() const { return n_limit_; }

 private:
  // What steps of so many rows take, outside trials.
  struct Size {
    int n_threads = 0;
    Recent<5> times;           // with so many threads
    double quiet_core_ms = 0;  // of all threads, when it took the least
  };

  int current(int n_allowed) const;
  void count_preemptions(double now_ms, long n_preempted);
  void learn(double step_ms);
  void start_trial(int n_allowed, int n_rows);
  double price_of_fewer(const Size& size) const;
  double price_of_more(const Size& size) const;
  bool is_fewer() const { return numbers_[1] < numbers_[0]; }
  // The planned step has the number that is tried.
  bool is_tried() const { return is_counted_ && n_step_ / options_.n_block_steps % 2 == 1; }
  double extra_ms(double step_ms) const;
  // Whether a step of a block with the other number shows that it is worse: with fewer threads one
  // does; where there is a neighbour it may have been disturbed.
  bool is_lost(double step_ms);
  void lose_trial();
  void finish_trial();

  const ThreadCountOptions options_;
  TrialBudget budget_;
  std::map<int, Size> sizes_;  // by rows
  int n_limit_ = 0;
  bool is_preempted_ = false;   // for two counts, for a crowd of requests that begin is short
  bool was_preempted_ = false;  // in the last one
  long n_preempted_ = -1;
  double counted_at_ms_ = 0;
  int backoff_ = 1;
  bool failed_fewer_ = false;  // the last trial was of fewer threads and changed nothing
  double more_extra_ = 0;      // of the time of a step, with one thread more, when it was last seen
  // The planned step.
  int n_planned_rows_ = 0;
  int n_planned_threads_ = 0;
  bool is_counted_ = false;  // it belongs to the trial
  // The trial: its numbers, and the times of steps with each.
  int n_allowed_ = 0;
  int n_rows_ = 0;  // 0: no trial
  int n_step_ = 0;
  int n_others_ = 0;
  int n_slow_ = 0;      // steps of the other number that were slower by the loss
  int n_slow_max_ = 0;  // with which it is lost
  int numbers_[2] = {0, 0};
  std::vector<double> times_[2];
};

}  // namespace pyserve
