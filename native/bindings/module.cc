// The extension module. Compiled for the baseline CPU, so that it can refuse to go further.

#include <pybind11/stl.h>

#include "base/cpu_check.h"
#include "bindings.h"
#include "build_info.h"

namespace py = pybind11;

namespace pyserve {
namespace {

// __builtin_cpu_supports takes literals only, hence the list of comparisons.
bool cpu_supports(std::string_view name) {
#define PYSERVE_CHECK_FEATURE(feature) \
  if (name == (feature)) return __builtin_cpu_supports(feature) != 0;
  PYSERVE_CPU_FEATURES(PYSERVE_CHECK_FEATURE)
#undef PYSERVE_CHECK_FEATURE
  return false;
}

std::vector<std::string_view> required_features() {
#define PYSERVE_LIST_FEATURE(feature) feature,
  return {PYSERVE_CPU_FEATURES(PYSERVE_LIST_FEATURE)};
#undef PYSERVE_LIST_FEATURE
}

void require_cpu(const std::string& missing) {
  if (missing.empty()) return;
  throw py::import_error(
      "this build of pyserve needs CPU features that this machine does not have: " + missing +
      ". Build it on this machine: pip install --force-reinstall --no-binary pyserve pyserve");
}

}  // namespace
}  // namespace pyserve

PYBIND11_MODULE(_native, module, py::mod_gil_not_used()) {
  __builtin_cpu_init();
  pyserve::require_cpu(
      pyserve::missing_features(pyserve::required_features(), pyserve::cpu_supports));
  module.doc() = "pyserve's engine: a GGUF model that runs many requests in one batch.";
  module.attr("cpu_features") = pyserve::required_features();
  module.attr("vendor") = PYSERVE_VENDOR;
  module.def(
      "check_cpu",
      [](const std::vector<std::string_view>& required) {
        pyserve::require_cpu(pyserve::missing_features(required, pyserve::cpu_supports));
      },
      "Raises the ImportError of this module unless the CPU has all of `required`.");
  pyserve::register_errors(module);
  pyserve::register_request(module);
  pyserve::register_events(module);
  pyserve::register_engine(module);
  pyserve::register_quantize(module);
}
