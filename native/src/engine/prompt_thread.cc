#include "engine/prompt_thread.h"

#include <sys/mman.h>

#include <cstdint>

namespace pyserve {
namespace {

constexpr size_t kMaxTextBytes = 2 * 1024 * 1024;
constexpr size_t kStackBytesPerTextByte = 340;
constexpr size_t kStackBase = 4 * 1024 * 1024;
constexpr size_t kMinTextBytes = 16 * 1024;
constexpr size_t kKeepStackBytes = 1024 * 1024;

constexpr size_t stack_for(size_t text_bytes) {
  return kStackBase + text_bytes * kStackBytesPerTextByte;
}

// Gives back the pages of this thread's stack that lie deep below the current frame.
void release_deep_stack() {
  pthread_attr_t attr;
  if (pthread_getattr_np(pthread_self(), &attr) != 0) return;
  void* base = nullptr;
  size_t size = 0;
  pthread_attr_getstack(&attr, &base, &size);
  pthread_attr_destroy(&attr);
  constexpr uintptr_t kPage = 4096;
  const auto low = (reinterpret_cast<uintptr_t>(base) + kPage - 1) & ~(kPage - 1);
  const auto here = reinterpret_cast<uintptr_t>(&attr);
  const uintptr_t high = (here - kKeepStackBytes) & ~(kPage - 1);
  if (high > low) madvise(reinterpret_cast<void*>(low), high - low, MADV_DONTNEED);
}

}  // namespace

PromptThread::PromptThread() {
  for (size_t text = kMaxTextBytes; text >= kMinTextBytes; text /= 2) {
    if (!start(stack_for(text))) continue;
    max_text_bytes_ = text;
    return;
  }
  throw EngineError(ErrorCode::kModelLoad, "cannot start the prompt thread: no memory for a stack");
}

PromptThread::~PromptThread() { stop(); }

bool PromptThread::start(size_t stack_bytes) {
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, stack_bytes);
  is_running_ = pthread_create(&thread_, &attr, &PromptThread::main, this) == 0;
  pthread_attr_destroy(&attr);
  return is_running_;
}

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
  while (true) {
    const auto jobs = jobs_.take_all(-1);
    if (jobs.empty()) return;  // closed
    for (const auto& job : jobs) job();
    release_deep_stack();
  }
}

}  // namespace pyserve
