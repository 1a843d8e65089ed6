#include "sched/step/adapter_turns.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

using namespace pyserve;

namespace {

const AdapterSet kNone;
const AdapterSet kFirst{{0, 1.0F}};
const AdapterSet kSecond{{1, 0.5F}};

using Running = std::vector<const AdapterSet*>;

}  // namespace

TEST_CASE("adapters that nobody else waits for keep their turn") {
  AdapterTurns turns(50);
  for (const double now_ms : {0.0, 40.0, 400.0})
    CHECK(turns.next(Running{&kFirst}, now_ms) == kFirst);
  CHECK(turns.next(Running{&kNone}, 401) == kNone);
}

TEST_CASE("a turn ends when it is old enough, and not before") {
  AdapterTurns turns(50);
  const Running both{&kNone, &kFirst};
  CHECK(turns.next(Running{&kNone}, 0) == kNone);
  CHECK(turns.next(both, 100) == kFirst);
  CHECK(turns.next(both, 149) == kFirst);
  CHECK(turns.next(both, 150) == kNone);
  CHECK(turns.next(both, 199) == kNone);
  CHECK(turns.next(both, 200) == kFirst);
}

TEST_CASE("the same adapter at another scale is another set") {
  AdapterTurns turns(50);
  const AdapterSet weaker{{0, 0.5F}};
  CHECK(turns.next(Running{&kFirst}, 100) == kFirst);
  CHECK(turns.next(Running{&kFirst, &weaker}, 300) == weaker);
}

TEST_CASE("the set that waits longest is next, whoever comes and goes") {
  AdapterTurns turns(10);
  std::mt19937 random(1);
  const std::vector<AdapterSet> sets{kNone, kFirst, kSecond, {{0, 0.1F}}, {{0, 1.0F}, {1, 1.0F}}};
  int n_waited = 0;
  for (int step = 0; step < 2000; ++step) {
    Running running{&kSecond};  // it is always there, the others flap
    for (const AdapterSet& set : sets) {
      if (random() % 2 == 0) running.push_back(&set);
    }
    const AdapterSet& next = turns.next(running, step * 5.0);
    CHECK(std::any_of(running.begin(), running.end(), [&](auto* set) { return *set == next; }));
    n_waited = next == kSecond ? 0 : n_waited + 1;
    // Each of the four others may be before it, with a turn of two steps.
    CHECK(n_waited <= 8);
  }
}
