// Which kernels compute, and what the CPU can do.

#include <pybind11/stl.h>

#include "base/cpu_features.h"
#include "bindings.h"
#include "pyserve/kernels.h"

namespace py = pybind11;

namespace pyserve {

void register_kernels(py::module_& module) {
  py::class_<CpuFeature>(module, "CpuFeature")
      .def_readonly("name", &CpuFeature::name)
      .def_readonly("is_shown", &CpuFeature::is_shown)
      .def_readonly("is_granted", &CpuFeature::is_granted);
  py::class_<KernelFall>(module, "KernelFall")
      .def_readonly("kernels", &KernelFall::kernels)
      .def_readonly("reason", &KernelFall::reason);
  py::class_<KernelChoice>(module, "KernelChoice")
      .def_readonly("kernels", &KernelChoice::kernels)
      .def_readonly("lower", &KernelChoice::lower)
      .def_readonly("falls", &KernelChoice::falls);
  py::class_<KernelRung>(module, "KernelRung")
      .def_readonly("kernels", &KernelRung::kernels)
      .def_readonly("missing", &KernelRung::missing)
      .def_readonly("failure", &KernelRung::failure);
  module.def("list_cpu_features", &cpu_features);
  module.def("choose_kernels", &choose_kernels, py::arg("wanted"),
             py::call_guard<py::gil_scoped_release>());
  module.def("kernel_ladder", &kernel_ladder, py::call_guard<py::gil_scoped_release>());
}

}  // namespace pyserve
