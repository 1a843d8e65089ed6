// `PYSERVE_KERNEL_FAULTS`: lets kernels fail on demand, for tests of what happens then.
#pragma once

#include <string>
#include <vector>

#include "base/kernel_rung.h"

namespace pyserve {

// A rung that fails when it is proved, or in use.
struct InjectedFault {
  enum When { kProof, kUse };

  Rung rung;
  When when;
  int n_products;  // so many products of matrices go well before
  int signal;      // how it fails; 0: all results of an operation are zeros
  int op;          // that operation, a ggml_op
};

// What PYSERVE_KERNEL_FAULTS asks for: `RUNG:WHEN:HOW` separated by commas. WHEN is `proof`, or a
// number of products in use; HOW is a signal, or `wrong` for products and `wrong-` with ggml's name
// of another operation. Throws EngineError(kInvalidRequest).
std::vector<InjectedFault> parse_faults(const std::string& text);
std::vector<InjectedFault> faults_of_environment();

// Lets this process fail as it is asked to, in addition to what the kernels of the rung do.
// REQUIRES: called once in a process, after install_kernels().
void inject_faults(Rung rung, InjectedFault::When when);

}  // namespace pyserve
