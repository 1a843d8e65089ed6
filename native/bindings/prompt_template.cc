#include "pyserve/prompt_template.h"

#include <pybind11/stl.h>

#include "bindings.h"

namespace py = pybind11;

namespace pyserve {
namespace {

py::list render(const PromptTemplate& prompt_template, const ChatPrompt& prompt) {
  py::list segments;
  for (const auto& [text, is_input] : prompt_template.render(prompt)) {
    segments.append(py::make_tuple(readable(text), is_input));
  }
  return segments;
}

}  // namespace

void register_prompt_template(py::module_& module) {
  py::class_<PromptTemplate>(module, "PromptTemplate")
      .def(
          py::init<const std::string&, std::string, std::string, const std::vector<std::string>&>(),
          py::arg("source"), py::arg("bos_text"), py::arg("eos_text"), py::arg("control_texts"))
      .def("render", &render, py::arg("prompt"));
}

}  // namespace pyserve
