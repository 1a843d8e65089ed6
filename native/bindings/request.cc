// The kinds of prompts, and what records hold when nothing is said.

#include "pyserve/request.h"

#include "bindings.h"
#include "records.h"

namespace py = pybind11;

namespace pyserve {
namespace {

template <Record... T>
py::dict list_defaults() {
  py::dict dict;
  ((dict[Fields<T>::kName] = to_dict(T{})), ...);
  return dict;
}

}  // namespace

void register_request(py::module_& module) {
  py::class_<ChatPrompt>(module, "ChatPrompt")
      .def(py::init<std::string, std::string, std::string, std::string>(), py::arg("messages_json"),
           py::arg("tools_json") = "", py::arg("kwargs_json") = "", py::arg("documents_json") = "");
  py::class_<TextPrompt>(module, "TextPrompt").def(py::init<std::string>());
  py::class_<SegmentPrompt>(module, "SegmentPrompt")
      .def(py::init<std::vector<std::pair<std::string, bool>>>());
  py::class_<TokenPrompt>(module, "TokenPrompt").def(py::init<std::vector<Token>>());
  module.def(
      "list_defaults",
      &list_defaults<RopeConfig, MetadataOverride, EngineConfig, SamplingParams, ThinkingLimit,
                     Request, QuantizeOptions, ModelInfo, EngineStats, ErrorInfo, TopLogprob,
                     TokenLogprob, Finish, DeltaEvent, AcceptedEvent, ProgressEvent, FailedEvent,
                     CpuFeature, KernelFall, KernelChoice, KernelRung>,
      "The fields of each record, without those that are arguments, and their defaults.");
}

}  // namespace pyserve
