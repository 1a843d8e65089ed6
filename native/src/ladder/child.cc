#include "ladder/child.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <exception>
#include <string_view>

#include "base/signal_names.h"

namespace pyserve {
namespace {

constexpr char kSaid = '=';  // goes before what the work returned

[[noreturn]] void run_and_exit(const std::function<std::string()>& work, unsigned timeout_s,
                               int out) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  sigset_t all;
  sigfillset(&all);
  for (const auto& [name, number] : kSignals) {
    if (number != SIGKILL) signal(number, SIG_DFL);
  }
  sigprocmask(SIG_UNBLOCK, &all, nullptr);
  alarm(timeout_s);
  std::string said(1, kSaid);
  try {
    said += work();
  } catch (const std::exception& error) {
    said += error.what();
  }
  for (std::string_view rest = said; !rest.empty();) {
    const ssize_t n = write(out, rest.data(), rest.size());
    if (n <= 0) _exit(1);
    rest.remove_prefix(static_cast<size_t>(n));
  }
  _exit(0);
}

std::string read_all(int in) {
  std::string text;
  char part[256];
  for (;;) {
    const ssize_t n = read(in, part, sizeof part);
    if (n > 0) text.append(part, static_cast<size_t>(n));
    if (n == 0 || (n < 0 && errno != EINTR)) return text;
  }
}

std::string how_it_ended(int status, unsigned timeout_s) {
  if (!WIFSIGNALED(status)) return "its process ended early";
  if (WTERMSIG(status) != SIGALRM) return signal_name(WTERMSIG(status));
  return "no end within " + std::to_string(timeout_s) + " s";
}

}  // namespace

std::string run_in_child(const std::function<std::string()>& work, unsigned timeout_s) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return "";
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    run_and_exit(work, timeout_s, ends[1]);
  }
  close(ends[1]);
  const std::string text = child < 0 ? std::string(1, kSaid) : read_all(ends[0]);
  close(ends[0]);
  int status = 0;
  while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return text.starts_with(kSaid) ? text.substr(1) : how_it_ended(status, timeout_s);
}

}  // namespace pyserve
