// Chooses who is admitted next: pure policy over a snapshot of the waiting requests.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "sched/admission/tenant_clock.h"

namespace pyserve {

// A waiting request as the policy sees it.
struct WaitingView {
  std::string_view tenant;     // must outlive the call
  int priority = 0;            // higher first
  int n_missing = 0;           // tokens to compute before its next one, after prefix hits
  double waited_ms = 0;        // since it was submitted
  double deadline_ms = 0;      // fails when it still waits then, since submission; 0: never
  bool was_preempted = false;  // holds a partial answer
  bool is_background = false;  // comes after all that are not
};

// Indices into the snapshot; together they name each request at most once.
struct WaitOrder {
  std::vector<int> admit;    // first to last
  std::vector<int> expired;  // their deadline has passed; not in `admit`
};

struct WaitOptions {
  double overdue_ms = 30'000;     // one that waits longer is served in spite of priorities
  int overdue_every = 4;          // every this many admissions, the one that waits longest
  double max_lag_tokens = 4'096;  // see TenantClock
  double decode_weight = 2;       // a generated token costs as much as this many prompt tokens
};

// The order, of those whose deadline has not passed, first without those in the background, then
// of these:
// 1. preempted requests, longest waiting first: a client is in the middle of their answer;
// 2. at every `overdue_every`th admission the request that waits longest, if it is overdue;
// 3. the highest priority; in it the tenant that was served least; of it the lowest prompt_rank().
// So no tenant delays another by sending more, and nothing waits for ever.
// Thread: engine thread only.
class WaitQueue {
 public:
  explicit WaitQueue(const WaitOptions& options = {});

  // The first `n_max` to admit, in order, and everything expired. Changes nothing: what is admitted
  // is told with commit(). Admit from the front and stop at the first that does not fit, or large
  // requests starve.
  WaitOrder plan(std::span<const WaitingView> waiting, int n_max) const;

  // `request` has been admitted: its tenant is charged its missing tokens, once.
  void commit(const WaitingView& request);

  // A step has generated `n_tokens` for `tenant`.
  void charge_decode(std::string_view tenant, int n_tokens, bool is_background = false);

 private:
  TenantClock& clock_of(bool is_background) { return is_background ? background_clock_ : clock_; }
  void plan_class(std::span<const WaitingView> waiting, bool is_background, size_t n_wanted,
                  std::vector<int>& admit) const;

  const WaitOptions options_;
  TenantClock clock_;
  TenantClock background_clock_;  // of what a tenant has in the background, which costs it no turn
  int64_t n_admitted_ = 0;        // without resumed ones
};

}  // namespace pyserve
