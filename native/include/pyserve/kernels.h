// Chooses the kernels that compute (`--kernels`), from a ladder of sets: each needs more of the CPU
// than the one below.
#pragma once

#include <string>
#include <vector>

namespace pyserve {

// A set of kernels that could be expected and is not used, and why.
struct KernelFall {
  std::string kernels;
  std::string reason;
};

struct KernelChoice {
  std::string kernels;            // the set that is used
  std::string lower;              // the one to use when it brings the process down; "": none
  std::vector<KernelFall> falls;  // from the highest
};

// The highest set, at or below the wanted one, that the CPU has, the system grants, and that
// computes what portable arithmetic does: that is proved in a child process, once for each set.
//
// wanted: its name; "auto": the best that is taken unasked; "": what PYSERVE_KERNELS says in the
// environment. Throws EngineError(kInvalidRequest) for a name that no set has.
// Thread: any. The first call forks, so it had better come before a process has many threads.
KernelChoice choose_kernels(const std::string& wanted = "");

// One set. missing: what the CPU lacks or the system does not grant, in words; failure: what its
// proof found; both "" when it could be used.
struct KernelRung {
  std::string kernels;
  std::string missing;
  std::string failure;
};

// All sets, from the highest, each proved where nothing is missing.
std::vector<KernelRung> kernel_ladder();

}  // namespace pyserve
