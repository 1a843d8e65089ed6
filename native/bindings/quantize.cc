#include "pyserve/quantize.h"

#include "bindings.h"
#include "records.h"

namespace py = pybind11;

namespace pyserve {

void register_quantize(py::module_& module) {
  module.def("quantize_model", &quantize_model, py::arg("path_in"), py::arg("path_out"),
             py::arg("options"), py::call_guard<py::gil_scoped_release>());
}

}  // namespace pyserve
