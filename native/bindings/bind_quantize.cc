#include <pybind11/pybind11.h>

#include "bindings.h"
#include "pyserve/quantize.h"

namespace py = pybind11;

namespace pyserve {

void register_quantize(py::module_& module) {
  module.def(
      "quantize_model",
      [](const std::string& path_in, const std::string& path_out, std::string type, int n_threads,
         bool allow_requantize) {
        const py::gil_scoped_release release;
        quantize_model(path_in, path_out, {std::move(type), n_threads, allow_requantize});
      },
      py::arg("path_in"), py::arg("path_out"), py::kw_only(), py::arg("type"), py::arg("n_threads"),
      py::arg("allow_requantize"));
}

}  // namespace pyserve
