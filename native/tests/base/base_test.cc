#include <doctest/doctest.h>
#include <sys/resource.h>

#include <chrono>
#include <thread>

#include "base/pulse.h"
#include "base/queue.h"

using namespace pyserve;

TEST_CASE("only a thread with work can stall") {
  Pulse pulse;
  CHECK(pulse.stalled_ms() == 0);
  pulse.beat();
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  CHECK(pulse.stalled_ms() >= 5);
  pulse.rest();
  CHECK(pulse.stalled_ms() == 0);
}

TEST_CASE("a queue gives everything in order and nothing twice") {
  Queue<int> queue;
  queue.push(1);
  queue.push_all({2, 3});
  CHECK(queue.take_all(0) == std::vector<int>{1, 2, 3});
  CHECK(queue.take_all(0).empty());
}

// The engine thread looks for requests between any two steps.
TEST_CASE("a look into an empty queue does not sleep") {
  const auto n_sleeps = [] {
    rusage usage{};
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nvcsw;
  };
  Queue<int> queue;
  const long n_before = n_sleeps();
  for (int i = 0; i < 100; ++i) queue.take_all(0);
  CHECK(n_sleeps() - n_before < 10);
}

TEST_CASE("a closed queue refuses items but gives what it holds") {
  Queue<int> queue;
  queue.push(1);
  queue.close();
  CHECK_FALSE(queue.push(2));
  CHECK_FALSE(queue.push_all({2}));
  CHECK(queue.take_all(-1) == std::vector<int>{1});
  CHECK(queue.take_all(-1).empty());
}

TEST_CASE("a waiting consumer wakes up for items of many producers") {
  Queue<int> queue;
  std::vector<std::thread> producers;
  for (int p = 0; p < 4; ++p) {
    producers.emplace_back([&queue] {
      for (int i = 0; i < 1000; ++i) queue.push(1);
    });
  }
  size_t n = 0;
  while (n < 4000) n += queue.take_all(-1).size();
  for (std::thread& producer : producers) producer.join();
  CHECK(n == 4000);
}
