// EngineError becomes a Python exception whose arguments are (code, message, param, details).

#include <pybind11/stl.h>

#include "bindings.h"

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
      const ErrorInfo& info = error.info();
      const py::object param = info.param.empty() ? py::object(py::none()) : py::str(info.param);
      const py::tuple args =
          py::make_tuple(code_name(info.code), readable(info.message), param, info.details);
      PyErr_SetObject(type.ptr(), args.ptr());
    }
  });
}

}  // namespace pyserve
