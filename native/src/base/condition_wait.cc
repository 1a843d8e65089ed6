// std::condition_variable::wait() once more, for wheels. libstdc++ 12 gave it a new version, the
// only one of its symbols that a wheel would need: with this one it runs with libstdc++ 11, too
// (RHEL 9, Amazon Linux 2023). libstdc++'s handles are those of pthread.h, which it includes.

#include <condition_variable>
#include <mutex>

namespace std {  // NOLINT(bugprone-std-namespace-modification)

void condition_variable::wait(unique_lock<mutex>& lock) {
  pthread_cond_wait(native_handle(), lock.mutex()->native_handle());
}

}  // namespace std
