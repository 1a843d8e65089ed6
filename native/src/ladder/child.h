// Runs work that may crash, in a child process.
#pragma once

#include <functional>
#include <string>

namespace pyserve {

// What `work` returns in a copy of this process, which ends with it: "" is taken to be good. Else
// how that process ended, "SIGILL" say; one that takes longer than `timeout_s` is ended. When there
// can be no further process, "".
// REQUIRES: `work` waits for no other thread; there are none in the copy.
std::string run_in_child(const std::function<std::string()>& work, unsigned timeout_s = 10);

}  // namespace pyserve
