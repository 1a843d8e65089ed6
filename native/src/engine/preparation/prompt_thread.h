// A thread that renders and tokenizes, with a stack that fits the recursion of the vendor.
#pragma once

#include <pthread.h>

#include <functional>
#include <future>
#include <memory>
#include <type_traits>

#include "base/pulse.h"
#include "base/queue.h"

namespace pyserve {

// Runs jobs one after another. The stack is virtual until it is used, and given back to the system
// after a deep job. Thread: any may post.
class PromptThread {
 public:
  // Throws EngineError(kModelLoad) when no thread can be started.
  PromptThread();
  ~PromptThread();
  PromptThread(const PromptThread&) = delete;
  PromptThread& operator=(const PromptThread&) = delete;

  // Returns false after stop().
  bool post(std::function<void()> job) { return jobs_.push(std::move(job)); }

  // Runs `job` on the thread and waits; passes on its result or exception.
  // Throws EngineError(kUnavailable) after stop().
  template <typename Job>
  std::invoke_result_t<Job> run(Job job);

  // Since the job that runs began, or called beat_thread_pulse(); 0 while there is none. Any
  // thread.
  double stalled_ms() const { return pulse_.stalled_ms(); }

  // Finishes posted jobs and ends the thread. Idempotent.
  void stop();

 private:
  static void* main(void* self);
  void loop();

  Queue<std::function<void()>> jobs_;
  Pulse pulse_;
  pthread_t thread_{};
  bool is_running_ = false;
};

}  // namespace pyserve

#include "pyserve/error.h"

namespace pyserve {

template <typename Job>
std::invoke_result_t<Job> PromptThread::run(Job job) {
  using Result = std::invoke_result_t<Job>;
  auto task = std::make_shared<std::packaged_task<Result()>>(std::move(job));
  std::future<Result> result = task->get_future();
  if (!post([task] { (*task)(); })) {
    throw EngineError(ErrorCode::kUnavailable, "the engine has been stopped");
  }
  return result.get();
}

}  // namespace pyserve
