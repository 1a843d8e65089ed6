#include "ladder/proof.h"

#include "ggml.h"
#include "kernels/injected_fault.h"
#include "kernels/install.h"
#include "ladder/child.h"

namespace pyserve {
namespace {

std::string check_all(Rung rung) {
  ggml_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  install_kernels(rung);
  inject_faults(rung, InjectedFault::kProof);
  std::string problem = check_products();
  if (problem.empty()) problem = check_attention();
  if (problem.empty()) problem = check_geglu();
  if (problem.empty()) problem = check_recurrence(rung);
  if (problem.empty()) problem = check_row_kernels(rung);
  return problem;
}

}  // namespace

std::string prove(Rung rung) {
  return run_in_child([rung] { return check_all(rung); });
}

}  // namespace pyserve
