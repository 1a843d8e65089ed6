// Operations of the scheduler in any order: its rules hold after each of them.
#ifdef PYSERVE_FUZZ
#define DOCTEST_CONFIG_DISABLE  // no checks but those of the target
#endif
#include <algorithm>
#include <optional>
#include <set>

#include "../tests/fake_memory.h"
#include "fuzz_input.h"
#include "kv/prefix_cache.h"
#include "sched/admission/wait_queue.h"
#include "sched/step/plan.h"

using namespace pyserve;

namespace {

constexpr int kActive = 3;
constexpr int kCells = 64;
constexpr const char* kTenants[] = {"", "a", "b"};

struct Request {
  SeqId seq_id;
  std::string key;
  std::vector<Token> tokens;
  int n_computed;

  TokenSpan computed() const { return TokenSpan(tokens).first(n_computed); }
};

// Requests that come, compute, publish and go, over one cache.
class CacheRun {
 public:
  CacheRun(MemoryKind kind, int n_pins)
      : memory_(kind), cache_(memory_, {kActive, n_pins, kCells, 64}) {}

  void step(FuzzInput& input) {
    switch (input.below(6)) {
      case 0:
        start(input);
        break;
      case 1:
        compute(input);
        break;
      case 2:
        publish(input);
        break;
      case 3:
        end(input);
        break;
      case 4:
        cache_.evict_one();
        break;
      default:
        cache_.make_room(input.below(kCells));
    }
    check();
  }

 private:
  void start(FuzzInput& input) {
    Request request{-1, kTenants[input.below(3)], {}, 0};
    for (int n = 1 + input.below(24); n > 0; --n) request.tokens.push_back(input.below(3));
    const auto offer = cache_.offer(request.key, request.tokens);
    require(offer.n_cached <= offer.n_shared, "what can be forked is known");
    if (offer.n_cells > cache_.n_free_cells()) return;
    const auto start = cache_.acquire(request.key, request.tokens);
    require(start.has_value() == (requests_.size() < kActive),
            "there is room for so many requests");
    if (!start) return;
    request.seq_id = start->seq_id;
    request.n_computed = start->n_computed;
    require(memory_.holds(request.seq_id, request.computed()), "a prefix is what was computed");
    requests_.push_back(std::move(request));
  }

  void compute(FuzzInput& input) {
    Request* request = choose(input);
    if (request == nullptr) return;
    const int n_missing = static_cast<int>(request->tokens.size()) - request->n_computed;
    const int n_tokens = std::min(n_missing, 1 + input.below(8));
    if (n_tokens == 0 || !cache_.make_room(n_tokens)) return;
    memory_.compute(request->seq_id, request->n_computed,
                    TokenSpan(request->tokens).subspan(request->n_computed, n_tokens));
    request->n_computed += n_tokens;
    cache_.advance(request->seq_id, n_tokens);
    memory_.recycle(request->seq_id);
  }

  void publish(FuzzInput& input) {
    const Request* request = choose(input);
    if (request == nullptr || request->n_computed == 0) return;
    cache_.publish(request->seq_id,
                   request->computed().first(1 + input.below(request->n_computed)));
  }

  void end(FuzzInput& input) {
    Request* request = choose(input);
    if (request == nullptr) return;
    if (input.below(4) == 0) {
      cache_.drop(request->seq_id);
    } else {
      cache_.release(request->seq_id, request->computed());
    }
    requests_.erase(requests_.begin() + (request - requests_.data()));
  }

  Request* choose(FuzzInput& input) {
    if (requests_.empty()) return nullptr;
    return &requests_[input.below(static_cast<int>(requests_.size()))];
  }

  void check() {
    require(cache_.check().empty(), cache_.check().c_str());
    require(memory_.n_cells() == cache_.n_used_cells(), "every cell in use is accounted for");
    for (const Request& request : requests_) {
      require(memory_.holds(request.seq_id, request.computed()), "a request keeps its tokens");
    }
  }

  FakeMemory memory_;
  PrefixCache cache_;
  std::vector<Request> requests_;
};

void plan(FuzzInput& input) {
  std::vector<RunningView> running(input.below(8));
  for (RunningView& view : running) {
    view.n_computed = input.below(64);
    view.n_known = view.n_computed + 1 + input.below(64);
    view.last_turn = input.below(16);
    view.priority = input.below(3);
    view.waited_ms = input.byte() * 100.0;
  }
  const StepLimits limits{1 + input.below(64), input.below(64), input.below(128),
                          1 + input.below(8)};
  const StepPlan plan = plan_step(running, limits);
  std::set<int> seen(plan.preempt.begin(), plan.preempt.end());
  require(seen.size() == plan.preempt.size(), "nobody is preempted twice");
  int n_tokens = 0;
  for (const PlanItem& item : plan.items) {
    require(seen.insert(item.index).second, "a request has one place in a step");
    require(item.n_tokens > 0 && item.n_tokens <= running[item.index].n_missing(),
            "a request computes what it misses");
    n_tokens += item.n_tokens;
  }
  require(n_tokens <= limits.n_batch, "the batch is not exceeded");
}

void wait(FuzzInput& input) {
  WaitQueue queue;
  std::vector<WaitingView> waiting(input.below(8));
  for (WaitingView& view : waiting) {
    view.tenant = kTenants[input.below(3)];
    view.priority = input.below(3);
    view.n_missing = input.byte();
    view.waited_ms = input.byte() * 400.0;
    view.deadline_ms = input.byte() * 200.0;
    view.was_preempted = input.below(4) == 0;
  }
  const WaitOrder order = queue.plan(waiting, 1 + input.below(8));
  std::set<int> seen(order.expired.begin(), order.expired.end());
  for (const int index : order.admit) {
    require(seen.insert(index).second, "a request waits in one place");
    queue.commit(waiting[index]);
  }
}

}  // namespace

PYSERVE_FUZZ_TARGET(scheduler) {
  FuzzInput input(data, std::min<size_t>(n_bytes, 2048));
  const auto kind = static_cast<MemoryKind>(input.below(3));
  CacheRun run(kind, input.below(5));
  plan(input);
  wait(input);
  while (!input.is_at_end()) run.step(input);
  return 0;
}
