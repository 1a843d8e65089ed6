#include "engine/preparation/prompt_thread.h"

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <thread>

using namespace pyserve;

TEST_CASE("a prompt thread is stalled while a job does not get on, and only then") {
  PromptThread thread;
  CHECK(thread.stalled_ms() == 0);
  std::promise<void> go_on;
  std::atomic<bool> is_over = false;
  auto job = std::async(std::launch::async, [&] {
    thread.run([&] {
      go_on.get_future().wait();
      while (!is_over) beat_thread_pulse();
    });
  });
  while (thread.stalled_ms() < 100) std::this_thread::yield();
  go_on.set_value();
  while (thread.stalled_ms() > 50) std::this_thread::yield();  // for ever, if it did not beat
  is_over = true;
  job.wait();
  while (thread.stalled_ms() > 0) std::this_thread::yield();
}

TEST_CASE("work of other threads beats nothing") {
  PromptThread thread;
  beat_thread_pulse();
  CHECK(thread.stalled_ms() == 0);
}
