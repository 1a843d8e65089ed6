// Choosing kernels, and remembering what was proved of them.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/kernel_rung.h"
#include "pyserve/kernels.h"

namespace pyserve {

// Proves each rung when it is first asked for, and then remembers. Thread: any.
class Ladder {
 public:
  // As choose_kernels().
  KernelChoice choose(const std::string& wanted);
  // As kernel_ladder().
  std::vector<KernelRung> rungs();

 private:
  std::string failure(Rung rung);

  std::mutex mutex_;
  std::map<Rung, std::string> failures_;
};

}  // namespace pyserve
