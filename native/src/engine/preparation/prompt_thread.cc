#include "engine/preparation/prompt_thread.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace pyserve {
namespace {

// Many times what the vendor's recursion takes: 320 bytes for each character of a piece of text.
constexpr size_t kStackBytes = 64 * 1024 * 1024;
constexpr size_t kKeepStackBytes = 1024 * 1024;

// Gives back the pages of this thread's stack that lie deep below the current frame.
void release_deep_stack() {
  pthread_attr_t attr;
  if (pthread_getattr_np(pthread_self(), &attr) != 0) return;
  void* base = nullptr;
  size_t size = 0;
  pthread_attr_getstack(&attr, &base, &size);
  pthread_attr_destroy(&attr);
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto low = (reinterpret_cast<uintptr_t>(base) + page - 1) & ~(page - 1);
  const auto here = reinterpret_cast<uintptr_t>(&attr);
  const uintptr_t high = (here - kKeepStackBytes) & ~(page - 1);
  if (high > low) madvise(reinterpret_cast<void*>(low), high - low, MADV_DONTNEED);
}

}  // namespace

PromptThread::PromptThread() {
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, kStackBytes);
  is_running_ = pthread_create(&thread_, &attr, &PromptThread::main, this) == 0;
  pthread_attr_destroy(&attr);
  if (is_running_) return;
  throw EngineError(ErrorCode::kModelLoad, "cannot start the prompt thread: no memory for a stack");
}

PromptThread::~PromptThread() { stop(); }

void PromptThread::stop() {
  jobs_.close();
  if (!is_running_) return;
  pthread_join(thread_, nullptr);
  is_running_ = false;
}

void* PromptThread::main(void* self) {
  static_cast<PromptThread*>(self)->loop();
  return nullptr;
}

void PromptThread::loop() {
  thread_pulse = &pulse_;
  while (true) {
    pulse_.rest();
    const auto jobs = jobs_.take_all(-1);
    if (jobs.empty()) return;  // closed
    for (const auto& job : jobs) {
      pulse_.beat();
      job();
    }
    release_deep_stack();
  }
}

}  // namespace pyserve
