#include "sched/admission/wait_queue.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "base/check.h"
#include "sched/step/plan.h"

namespace pyserve {
namespace {

bool is_expired(const WaitingView& request) {
  return request.deadline_ms > 0 && request.waited_ms >= request.deadline_ms;
}

// Takes requests one after the other as if each were admitted.
class Picker {
 public:
  Picker(std::span<const WaitingView> waiting, std::vector<int> indices, const TenantClock& clock)
      : waiting_(waiting), left_(std::move(indices)) {
    for (const int i : left_) clocks_.try_emplace(waiting_[i].tenant, clock.at(waiting_[i].tenant));
  }

  bool is_empty() const { return left_.empty(); }

  // The one that waits longest; -1 when it is not overdue.
  int take_overdue(double overdue_ms) {
    const auto oldest = std::max_element(left_.begin(), left_.end(), [&](int a, int b) {
      return waiting_[a].waited_ms < waiting_[b].waited_ms;
    });
    return waiting_[*oldest].waited_ms >= overdue_ms ? take(oldest) : -1;
  }

  int take_best() {
    return take(std::min_element(left_.begin(), left_.end(),
                                 [&](int a, int b) { return key(a) < key(b); }));
  }

 private:
  using Key = std::tuple<int64_t, double, double>;

  Key key(int index) const {
    const WaitingView& request = waiting_[index];
    return {-int64_t{request.priority}, clocks_.at(request.tenant),
            prompt_rank(request.n_missing, request.waited_ms)};
  }

  int take(std::vector<int>::iterator position) {
    const int index = *position;
    left_.erase(position);
    clocks_[waiting_[index].tenant] += waiting_[index].n_missing;
    return index;
  }

  std::span<const WaitingView> waiting_;
  std::vector<int> left_;
  std::map<std::string_view, double> clocks_;
};

}  // namespace

WaitQueue::WaitQueue(const WaitOptions& options)
    : options_(options), clock_(options.max_lag_tokens), background_clock_(options.max_lag_tokens) {
  PYSERVE_CHECK(options.overdue_every >= 1);
}

WaitOrder WaitQueue::plan(std::span<const WaitingView> waiting, int n_max) const {
  WaitOrder order;
  for (int i = 0; i < static_cast<int>(waiting.size()); ++i) {
    if (is_expired(waiting[i])) order.expired.push_back(i);
  }
  const size_t n_wanted = static_cast<size_t>(std::max(n_max, 0));
  for (const bool is_background : {false, true}) {
    plan_class(waiting, is_background, n_wanted, order.admit);
  }
  return order;
}

// Appends those of one class, until `admit` has `n_wanted`.
void WaitQueue::plan_class(std::span<const WaitingView> waiting, bool is_background,
                           size_t n_wanted, std::vector<int>& admit) const {
  const auto n_before = static_cast<std::ptrdiff_t>(admit.size());
  std::vector<int> others;
  for (int i = 0; i < static_cast<int>(waiting.size()); ++i) {
    const WaitingView& request = waiting[i];
    if (is_expired(request) || request.is_background != is_background) continue;
    (request.was_preempted ? admit : others).push_back(i);
  }
  std::stable_sort(admit.begin() + n_before, admit.end(),
                   [&](int a, int b) { return waiting[a].waited_ms > waiting[b].waited_ms; });
  if (admit.size() > n_wanted) admit.resize(n_wanted);
  Picker picker(waiting, std::move(others), is_background ? background_clock_ : clock_);
  for (int64_t n = n_admitted_; admit.size() < n_wanted && !picker.is_empty(); ++n) {
    const bool is_turn = (n + 1) % options_.overdue_every == 0;
    int index = is_turn ? picker.take_overdue(options_.overdue_ms) : -1;
    if (index < 0) index = picker.take_best();
    admit.push_back(index);
  }
}

void WaitQueue::commit(const WaitingView& request) {
  // What is computed a second time is no one's wish.
  if (request.was_preempted) return;
  ++n_admitted_;
  clock_of(request.is_background).charge(request.tenant, request.n_missing);
}

void WaitQueue::charge_decode(std::string_view tenant, int n_tokens, bool is_background) {
  clock_of(is_background).charge(tenant, options_.decode_weight * n_tokens);
}

}  // namespace pyserve
