// EngineError becomes a Python exception whose argument is its ErrorInfo, as a dict.

#include "bindings.h"
#include "records.h"

namespace py = pybind11;

namespace pyserve {

const char* code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidRequest:
      return "invalid_value";
    case ErrorCode::kContextLengthExceeded:
      return "context_length_exceeded";
    case ErrorCode::kModelLoad:
      return "model_load_failed";
    case ErrorCode::kQueueFull:
      return "queue_full";
    case ErrorCode::kDeadlineExceeded:
      return "deadline_exceeded";
    case ErrorCode::kNumeric:
      return "numeric_error";
    case ErrorCode::kCancelled:
      return "cancelled";
    case ErrorCode::kUnavailable:
      return "unavailable";
    case ErrorCode::kInternal:
      break;
  }
  return "internal_error";
}

py::str readable(const std::string& text) {
  const auto size = static_cast<Py_ssize_t>(text.size());
  return py::reinterpret_steal<py::str>(PyUnicode_DecodeUTF8(text.data(), size, "replace"));
}

void register_errors(py::module_& module) {
  static py::handle type = py::exception<EngineError>(module, "EngineError").release();
  py::register_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) std::rethrow_exception(pointer);
    } catch (const EngineError& error) {
      PyErr_SetObject(type.ptr(), to_dict(error.info()).ptr());
    }
  });
}

}  // namespace pyserve
