#include "sched/admission/wait_queue.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <random>
#include <string>

using namespace pyserve;

namespace {

using Indices = std::vector<int>;

WaitingView waiting(std::string_view tenant, int n_missing, double waited_ms = 0,
                    int priority = 0) {
  WaitingView view;
  view.tenant = tenant;
  view.n_missing = n_missing;
  view.waited_ms = waited_ms;
  view.priority = priority;
  return view;
}

WaitingView preempted(double waited_ms) {
  WaitingView view = waiting("a", 5000, waited_ms, -5);
  view.was_preempted = true;
  return view;
}

struct Job {
  std::string tenant;
  int n_tokens;
  double submitted_at;
  int priority = 0;
  double started_at = -1;
};

// A machine of `n_slots` that each compute a token per ms. Admits by WaitQueue until all have run.
void simulate(std::vector<Job>& jobs, int n_slots) {
  WaitQueue queue;
  std::vector<double> free_at(n_slots, 0.0);
  std::vector<bool> is_done(jobs.size());
  for (size_t n_done = 0; n_done < jobs.size();) {
    auto slot = std::min_element(free_at.begin(), free_at.end());
    std::vector<WaitingView> views;
    Indices owners;
    double next_arrival = 1e18;
    for (size_t i = 0; i < jobs.size(); ++i) {
      if (is_done[i]) continue;
      next_arrival = std::min(next_arrival, jobs[i].submitted_at);
      if (jobs[i].submitted_at > *slot) continue;
      views.push_back(waiting(jobs[i].tenant, jobs[i].n_tokens, *slot - jobs[i].submitted_at,
                              jobs[i].priority));
      owners.push_back(static_cast<int>(i));
    }
    const WaitOrder order = queue.plan(views, 1);
    if (order.admit.empty()) {
      *slot = next_arrival;
      continue;
    }
    Job& job = jobs[owners[order.admit[0]]];
    queue.commit(views[order.admit[0]]);
    is_done[owners[order.admit[0]]] = true;
    job.started_at = *slot;
    *slot += job.n_tokens;
    ++n_done;
  }
}

std::vector<Job> of_tenant(const std::vector<Job>& jobs, const std::string& tenant) {
  std::vector<Job> out;
  std::copy_if(jobs.begin(), jobs.end(), std::back_inserter(out),
               [&](const Job& job) { return job.tenant == tenant; });
  return out;
}

}  // namespace

TEST_CASE("an empty queue has no order") {
  const WaitQueue queue;
  CHECK(queue.plan({}, 8).admit.empty());
  CHECK(queue.plan(std::vector{waiting("a", 10)}, 0).admit.empty());
}

TEST_CASE("short prompts go before long ones, and early ones before late ones") {
  const WaitQueue queue;
  CHECK(queue.plan(std::vector{waiting("a", 900), waiting("a", 20), waiting("a", 300)}, 8).admit ==
        Indices{1, 2, 0});
  CHECK(queue.plan(std::vector{waiting("a", 50, 0), waiting("a", 50, 400)}, 8).admit ==
        Indices{1, 0});
}

TEST_CASE("preempted requests go first, the longest waiting before the others") {
  const WaitQueue queue;
  const std::vector views{waiting("a", 1, 0, 9), preempted(10), preempted(20)};
  CHECK(queue.plan(views, 8).admit == Indices{2, 1, 0});
  CHECK(queue.plan(views, 1).admit == Indices{2});
}

TEST_CASE("the background comes last, whatever its priority, however long it waits") {
  std::vector<WaitingView> views = {waiting("a", 10, 100'000, 100), preempted(50'000),
                                    waiting("b", 500, 0, -100), preempted(1'000)};
  views[0].is_background = views[1].is_background = true;
  WaitQueue queue;
  for (int n = 0; n < 8; ++n) {
    CHECK(queue.plan(views, 4).admit == Indices{3, 2, 1, 0});
    CHECK(queue.plan(views, 1).admit == Indices{3});
    queue.commit(views[2]);
  }
}

TEST_CASE("what a tenant has in the background costs it no turn") {
  WaitQueue queue;
  WaitingView batch = waiting("a", 5'000);
  batch.is_background = true;
  queue.commit(batch);
  queue.charge_decode("a", 1'000, true);
  queue.commit(waiting("b", 10));
  CHECK(queue.plan(std::vector{waiting("a", 50), waiting("b", 50)}, 2).admit == Indices{0, 1});
}

TEST_CASE("priority goes before tenants and lengths") {
  WaitQueue queue;
  queue.commit(waiting("b", 4000));
  CHECK(queue.plan(std::vector{waiting("a", 10), waiting("b", 900, 0, 1)}, 8).admit ==
        Indices{1, 0});
}

TEST_CASE("the tenant that was served least goes first") {
  WaitQueue queue;
  queue.commit(waiting("a", 100));
  CHECK(queue.plan(std::vector{waiting("a", 10), waiting("b", 900)}, 8).admit == Indices{1, 0});
  queue.charge_decode("b", 51);
  CHECK(queue.plan(std::vector{waiting("a", 10), waiting("b", 900)}, 8).admit == Indices{0, 1});
}

TEST_CASE("tenants alternate within one plan") {
  const WaitQueue queue;
  std::vector<WaitingView> views(6, waiting("a", 100));
  views.push_back(waiting("b", 100));
  views.push_back(waiting("b", 100));
  const Indices admit = queue.plan(views, 4).admit;
  CHECK(std::count_if(admit.begin(), admit.end(), [](int i) { return i >= 6; }) == 2);
}

TEST_CASE("computing a preempted request again is not charged") {
  WaitQueue queue;
  queue.commit(waiting("a", 0));
  queue.commit(waiting("b", 1));
  queue.commit(preempted(5));
  CHECK(queue.plan(std::vector{waiting("b", 10), waiting("a", 10)}, 8).admit == Indices{1, 0});
}

TEST_CASE("a passed deadline is reported and not admitted") {
  const WaitQueue queue;
  std::vector views{waiting("a", 10, 99), waiting("a", 10, 100), preempted(100), waiting("a", 10)};
  for (int i = 0; i < 3; ++i) views[i].deadline_ms = 100;
  const WaitOrder order = queue.plan(views, 1);
  CHECK(order.expired == Indices{1, 2});
  CHECK(order.admit == Indices{0});
}

TEST_CASE("a random plan names every request once, and its beginning is the shorter plan") {
  std::mt19937 random(1);
  for (int round = 0; round < 500; ++round) {
    WaitQueue queue;
    std::vector<std::string> tenants{"a", "b", "c", ""};
    for (int i = 0; i < 10; ++i) queue.charge_decode(tenants[random() % 4], random() % 500);
    std::vector<WaitingView> views(random() % 30);
    for (WaitingView& view : views) {
      view = waiting(tenants[random() % 4], 1 + random() % 2000, random() % 60000, random() % 3);
      view.deadline_ms = random() % 3 == 0 ? random() % 60000 : 0;
      view.was_preempted = random() % 8 == 0;
    }
    const WaitOrder all = queue.plan(views, 1000);
    Indices named = all.admit;
    named.insert(named.end(), all.expired.begin(), all.expired.end());
    std::sort(named.begin(), named.end());
    Indices expected(views.size());
    for (size_t i = 0; i < expected.size(); ++i) expected[i] = static_cast<int>(i);
    CHECK(named == expected);
    const int n = static_cast<int>(random() % 10);
    const Indices some = queue.plan(views, n).admit;
    CHECK(some.size() == std::min<size_t>(n, all.admit.size()));
    CHECK(std::equal(some.begin(), some.end(), all.admit.begin()));
  }
}

TEST_CASE("a plan of one at a time is the plan of many") {
  std::mt19937 random(2);
  WaitQueue queue;
  std::vector<WaitingView> views;
  const std::vector<std::string> tenants{"a", "b", "c"};
  for (int i = 0; i < 20; ++i) {
    views.push_back(waiting(tenants[random() % 3], 1 + random() % 300, random() % 60000));
  }
  const Indices expected = queue.plan(views, 20).admit;
  std::vector<WaitingView> left = views;
  for (const int index : expected) {
    const int next = queue.plan(left, 1).admit[0];
    CHECK(left[next].n_missing == views[index].n_missing);
    queue.commit(left[next]);
    left.erase(left.begin() + next);
  }
}

TEST_CASE("a tenant that floods the queue does not delay another beyond twice its fair share") {
  std::mt19937 random(4);
  for (int round = 0; round < 30; ++round) {
    const int n_slots = 1 + round % 4;
    std::vector<Job> second;
    for (int i = 0; i < 15; ++i) {
      const double at = 3000 + (round % 2 == 0 ? 0 : random() % 5000);
      second.push_back({"second", 20 + static_cast<int>(random() % 400), at});
    }
    std::vector<Job> crowd = second;
    for (int i = 0; i < 150; ++i) {
      crowd.push_back({"flood", 20 + static_cast<int>(random() % 400), 10.0 * (random() % 500)});
    }
    simulate(second, n_slots);
    simulate(crowd, n_slots);
    const std::vector<Job> served = of_tenant(crowd, "second");
    // With half of the machine all of its work takes twice as long; one running job is not stopped.
    double alone = 0;
    double crowded = 0;
    for (size_t i = 0; i < second.size(); ++i) {
      alone = std::max(alone, second[i].started_at);
      crowded = std::max(crowded, served[i].started_at);
    }
    CHECK(crowded - 3000 <= 2 * (alone - 3000) + 2 * 420);
  }
}

TEST_CASE("nothing starves: neither long prompts nor low priorities nor tenants") {
  std::vector<Job> jobs;
  // More short and important work than the machine can do, without end.
  for (int i = 0; i < 4000; ++i) jobs.push_back({"busy", 50, 45.0 * i, 1});
  jobs.push_back({"busy", 2000, 100, 1});
  jobs.push_back({"busy", 50, 100, 0});
  jobs.push_back({"busy", 3000, 100, -3});
  jobs.push_back({"other", 3000, 100, 0});
  simulate(jobs, 1);
  for (size_t i = 4000; i < jobs.size(); ++i) {
    INFO("job ", i);
    CHECK(jobs[i].started_at < 50000);
  }
}
