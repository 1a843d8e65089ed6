// The extension module. Compiled for the baseline CPU, so that it can refuse to go further.

#include <pybind11/stl.h>

#include "base/cpu_features.h"
#include "bindings.h"
#include "build_info.h"

namespace py = pybind11;

namespace pyserve {
namespace {

void require_cpu(const std::vector<std::string_view>& required) {
  const std::string missing = missing_features(required);
  if (missing.empty()) return;
  throw py::import_error(
      "this build of pyserve needs CPU features that this machine does not have, or that its "
      "system does not grant: " +
      missing +
      ". Build it on this machine: pip install --force-reinstall --no-binary pyserve pyserve");
}

}  // namespace
}  // namespace pyserve

PYBIND11_MODULE(_native, module, py::mod_gil_not_used()) {
  pyserve::require_cpu(pyserve::features_of_build());
  module.doc() = "pyserve's engine: a GGUF model that runs many requests in one batch.";
  module.attr("cpu_features") = pyserve::features_of_build();
  module.attr("level") = PYSERVE_LEVEL;
  module.attr("vendor") = PYSERVE_VENDOR;
  module.def("check_cpu", &pyserve::require_cpu, py::arg("required"),
             "Raises the ImportError of this module unless the CPU has all of `required`.");
  pyserve::register_errors(module);
  pyserve::register_kernels(module);
  pyserve::register_request(module);
  pyserve::register_engine(module);
  pyserve::register_quantize(module);
  pyserve::register_prompt_template(module);
}
