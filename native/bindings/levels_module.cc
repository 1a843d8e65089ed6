// A module of a wheel: which native modules it has, and what this CPU can do. Compiled for any
// x86-64.

#include <pybind11/stl.h>

#include "base/cpu_features.h"
#include "levels.h"

namespace py = pybind11;

PYBIND11_MODULE(_levels, module, py::mod_gil_not_used()) {
  module.doc() = "The levels of x86-64 that this package has native modules for.";
  module.attr("levels") = pyserve::levels_of_build();
  module.def(
      "missing_features",
      [](const std::vector<std::string_view>& required) {
        return pyserve::missing_features(required);
      },
      py::arg("required"), "Those that the CPU lacks or its system does not grant, \"\" = none.");
}
