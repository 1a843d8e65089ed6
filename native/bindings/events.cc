// Events as msgspec.convert() takes them.

#include "bindings.h"
#include "pyserve/request.h"
#include "records.h"

namespace py = pybind11;

namespace pyserve {
namespace {

py::dict body_of(const AcceptedEvent& accepted) {
  py::dict dict = to_dict(accepted);
  dict["type"] = "accepted";
  return dict;
}

py::dict body_of(const ProgressEvent& progress) {
  py::dict dict = to_dict(progress);
  dict["type"] = "progress";
  return dict;
}

py::dict body_of(const FailedEvent& failed) {
  py::dict dict = to_dict(failed);
  dict["type"] = "failed";
  return dict;
}

// Python keeps the counts and the times of a finish in records of their own, which take from a dict
// what they know.
void sort_numbers(const py::object& finish) {
  if (finish.is_none()) return;
  const py::dict numbers = finish.attr("copy")();
  finish["usage"] = numbers;
  finish["timings"] = numbers;
}

py::dict body_of(const DeltaEvent& delta) {
  py::dict fields = to_dict(delta);
  sort_numbers(fields["so_far"]);
  sort_numbers(fields["finish"]);
  py::dict dict;
  dict["type"] = "step";
  dict["delta"] = fields;
  return dict;
}

}  // namespace

// Most deltas are text alone. A step of the model leaves the caches cold: to give a record, field
// by field, for each of them takes a fifth of the caller's time.
py::object to_python(const Event& event) {
  const auto* delta = std::get_if<DeltaEvent>(&event.body);
  if (delta != nullptr && delta->is_text_alone()) {
    return py::make_tuple(event.id, delta->text, delta->tokens);
  }
  py::dict dict = std::visit([](const auto& body) { return body_of(body); }, event.body);
  dict["request_id"] = event.id;
  return dict;
}

}  // namespace pyserve
