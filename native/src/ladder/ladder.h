// Chooses kernels, and remembers what was proved of them.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/cpu_features.h"
#include "base/kernel_rung.h"
#include "pyserve/kernels.h"

namespace pyserve {

// Proves each rung when it is first asked for, and then remembers. Thread: any.
class Ladder {
 public:
  explicit Ladder(std::vector<CpuFeature> features = cpu_features())
      : features_(std::move(features)) {}

  // As choose_kernels().
  KernelChoice choose(const std::string& wanted);
  // As kernel_ladder().
  std::vector<KernelRung> rungs();

 private:
  // What the CPU or the build lacks for a rung, or what the system does not grant; "": nothing.
  std::string missing(Rung rung) const;
  std::string failure(Rung rung);
  // The next one down that nothing lacks for.
  Rung rung_to_fall_to(Rung rung) const;

  const std::vector<CpuFeature> features_;
  std::mutex mutex_;
  std::map<Rung, std::string> failures_;
};

}  // namespace pyserve
