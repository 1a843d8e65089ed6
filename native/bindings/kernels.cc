// Which kernels compute, and what the CPU can do.

#include "pyserve/kernels.h"

#include "base/cpu_features.h"
#include "bindings.h"
#include "records.h"

namespace py = pybind11;

namespace pyserve {

void register_kernels(py::module_& module) {
  module.def("list_cpu_features", &cpu_features);
  module.def("choose_kernels", &choose_kernels, py::arg("wanted"),
             py::call_guard<py::gil_scoped_release>());
  module.def("kernel_ladder", &kernel_ladder, py::call_guard<py::gil_scoped_release>());
}

}  // namespace pyserve
