#include "engine/batch/admission.h"

#include <algorithm>
#include <climits>
#include <utility>

namespace pyserve {
namespace {

constexpr int kHeadroomAfterPreemption = 64;  // tokens per running request
// A shorter prefix is not worth waiting for, nor a pin.
constexpr int kMinShared = 32;
// Memory that forgets: a prompt that computes fewer tokens gets no pin at its end.
constexpr int kMinPinned = 64;

}  // namespace

std::vector<Admission::RunningPtr> Admission::take(
    const std::function<bool(const RunningRequest&)>& is_wanted) {
  std::vector<RunningPtr> taken;
  for (RunningPtr& request : waiting_) {
    if (is_wanted(*request)) taken.push_back(std::move(request));
  }
  std::erase(waiting_, nullptr);
  return taken;
}

bool Admission::has_foreground() const {
  return std::ranges::any_of(
      waiting_, [](const RunningPtr& request) { return !request->params().is_background; });
}

std::vector<Admission::RunningPtr> Admission::admit(std::vector<RunningPtr>& running,
                                                    bool holds_background, EngineStats& counters) {
  std::vector<RunningPtr> expired;
  n_reading_ = 0;
  lacks_room_ = false;
  if (waiting_.empty()) return expired;
  const int n_free = n_seq_max_ - static_cast<int>(running.size());
  const std::vector<WaitingView> waiting = views(n_free > 0);
  const WaitOrder order = queue_.plan(waiting, n_free);
  int n_held_tokens = 0;
  int n_held = 0;
  for (const int index : order.admit) {
    RunningRequest& request = *waiting_[index];
    if (holds_background && request.params().is_background) break;
    if (must_read(request)) {
      ++n_reading_;
      ++n_held;
      continue;
    }
    if (const int n_common = tokens_to_wait_for(request, running, holds_background); n_common > 0) {
      n_held_tokens += request.progress().n_known() - n_common;
      ++n_held;
      continue;
    }
    // The first that does not fit ends it, or large requests starve.
    if (!has_room_for(request, running, n_held_tokens)) break;
    queue_.commit(waiting[index]);
    start(request, counters);
    running.push_back(std::move(waiting_[index]));
  }
  for (const int index : order.expired) expired.push_back(std::move(waiting_[index]));
  std::erase(waiting_, nullptr);
  const auto n_foreground = std::ranges::count_if(
      waiting_, [](const RunningPtr& request) { return !request->params().is_background; });
  lacks_room_ = holds_background && n_foreground > n_held;
  return expired;
}

void Admission::tell_places(const std::vector<RunningPtr>& running,
                            std::vector<Event>& events) const {
  const std::vector<WaitingView> waiting = views(true);
  const std::vector<int> order = queue_.plan(waiting, static_cast<int>(waiting.size())).admit;
  std::vector<LoadView> loads;
  for (const int index : order) {
    const RunningRequest& request = *waiting_[index];
    const TokenSpan tokens = request.progress().tokens();
    const int n_cells = cache_.offer(request.cache_key(), tokens).n_cells;
    loads.push_back(request.load(waiting[index].n_missing, n_cells));
  }
  const std::vector<double> starts_ms = start_ms(running, loads);
  for (size_t i = 0; i < order.size(); ++i) {
    RunningRequest& request = *waiting_[order[i]];
    if (request.has_begun_to_answer()) continue;
    ProgressEvent event = request.tell_progress();
    event.position = static_cast<int>(i) + 1;
    event.n_waiting = static_cast<int>(waiting_.size());
    event.eta_ms = starts_ms.empty() ? -1 : starts_ms[i];
    events.push_back({request.ticket().id, event});
  }
}

double Admission::wait_ms(const std::vector<RunningPtr>& running) const {
  std::vector<LoadView> loads;
  for (const RunningPtr& request : waiting_) {
    if (!request || request->params().is_background) continue;  // these come later
    loads.push_back(request->load(request->progress().n_known(), 0));
  }
  loads.emplace_back();
  const std::vector<double> starts_ms = start_ms(running, loads);
  return starts_ms.empty() ? -1 : starts_ms.back();
}

std::vector<double> Admission::start_ms(const std::vector<RunningPtr>& running,
                                        const std::vector<LoadView>& waiting) const {
  std::vector<LoadView> loads;
  for (const RunningPtr& request : running) {
    if (request->params().is_background) continue;  // they give way
    const RequestProgress& progress = request->progress();
    loads.push_back(request->load(progress.n_missing(), progress.n_known()));
  }
  return forecast_.start_ms(loads, waiting, {n_seq_max_, cache_.n_free_cells()});
}

// Without prefixes, all that is known of them is who may still wait.
std::vector<WaitingView> Admission::views(bool with_prefixes) const {
  std::vector<WaitingView> views;
  for (const RunningPtr& request : waiting_) {
    WaitingView view;
    view.tenant = request->params().tenant;
    view.priority = request->params().priority;
    view.waited_ms = request->waited_ms();
    view.was_preempted = request->progress().was_preempted();
    view.is_background = request->params().is_background;
    // A client that reads an answer is past its deadline for the first token.
    view.deadline_ms = view.was_preempted ? 0 : request->params().deadline_ms;
    view.n_missing = request->progress().n_known();
    if (with_prefixes) {
      const TokenSpan tokens = request->tokens_to_share();
      view.n_missing -= cache_.offer(request->cache_key(), tokens).n_cached;
    }
    views.push_back(view);
  }
  return views;
}

// Reading its prefix, which goes on or begins now, is faster than computing it.
bool Admission::must_read(RunningRequest& request) {
  if (disk_ == nullptr || !cache_.can_share()) return false;
  if (disk_->is_opening()) return true;
  const bool is_new = !request.has_asked_disk();
  request.set_asked_disk();
  const TokenSpan tokens = request.tokens_to_share();
  const int n_cached = cache_.offer(request.cache_key(), tokens).n_cached;
  return disk_->must_wait(request.cache_key(), tokens, n_cached, is_new);
}

// The length of the prefix that another request is computing right now; 0: none, or not worth it.
int Admission::tokens_to_wait_for(const RunningRequest& request,
                                  const std::vector<RunningPtr>& running, bool holds_background) {
  if (!cache_.can_share()) return 0;
  const TokenSpan tokens = request.tokens_to_share();
  int n_cached = cache_.offer(request.cache_key(), tokens).n_cached;
  for (const RunningPtr& other : running) {
    if (other->cache_key() != request.cache_key()) continue;
    RequestProgress& ahead = other->progress();
    const int n_common = common_prefix(ahead.tokens(), tokens);
    if (n_common < n_cached + kMinShared) continue;
    // 1. It is on its way there, and not farther from it than this request.
    const bool is_held = holds_background && other->params().is_background;
    const bool is_computing = ahead.n_missing() > 1 && !is_held;
    if (is_computing && n_common > ahead.n_computed() && ahead.n_computed() >= n_cached) {
      if (!cache_.is_cuttable()) ahead.add_cut(n_common);
      return n_common;
    }
    // 2. It has been there, or part of the way.
    const int n_done = std::min(n_common, ahead.n_computed());
    if (n_done < n_cached + kMinShared) continue;
    if (!cache_.publish(ahead.seq_id(), ahead.tokens().first(n_done))) continue;
    n_cached = cache_.offer(request.cache_key(), tokens).n_cached;
  }
  return 0;
}

bool Admission::has_room_for(const RunningRequest& request, const std::vector<RunningPtr>& running,
                             int n_held_tokens) const {
  const int n_free = cache_.n_free_cells();
  if (running.empty() || n_free == INT_MAX) return true;
  const int n_headroom = request.progress().was_preempted() ? kHeadroomAfterPreemption : 1;
  int n_needed = n_held_tokens + n_headroom * static_cast<int>(running.size() + 1);
  for (const RunningPtr& other : running) n_needed += other->progress().n_missing();
  n_needed += cache_.offer(request.cache_key(), request.progress().tokens()).n_cells;
  return n_needed <= n_free;
}

void Admission::start(RunningRequest& request, EngineStats& counters) {
  const TokenSpan tokens = request.tokens_to_share();
  const int n_shared = cache_.offer(request.cache_key(), tokens).n_shared;
  const auto place = cache_.acquire(request.cache_key(), tokens);
  RequestProgress& progress = request.progress();
  const bool is_first = !progress.was_preempted();
  progress.start(place->seq_id, place->n_computed);
  if (cache_.is_forgetful()) {
    // Where it parts from what others had, and where an equal prompt can begin.
    if (n_shared >= place->n_computed + kMinShared) progress.add_cut(n_shared);
    const auto n_prompt = static_cast<int>(tokens.size());
    if (n_prompt >= place->n_computed + kMinPinned) progress.add_cut(n_prompt);
  }
  if (!is_first) return;
  counters.n_cached_tokens += place->n_computed;
  counters.n_prefix_hits += place->n_computed > 0 ? 1 : 0;
  counters.n_prefix_restored += place->is_restored ? 1 : 0;
}

}  // namespace pyserve
