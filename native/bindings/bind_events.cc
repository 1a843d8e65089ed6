// Events as plain records.

#include <pybind11/stl.h>

#include "bindings.h"
#include "pyserve/request.h"

namespace py = pybind11;

namespace pyserve {
namespace {

template <typename Logprob>
py::bytes piece_bytes(const Logprob& logprob) {
  return logprob.piece;
}

// float32, as the CPU has them.
py::bytes embedding_bytes(const DeltaEvent& delta) {
  return {reinterpret_cast<const char*>(delta.embedding.data()),
          delta.embedding.size() * sizeof(float)};
}

void register_logprobs(py::module_& module) {
  py::class_<TopLogprob>(module, "TopLogprob")
      .def_readonly("token", &TopLogprob::token)
      .def_property_readonly("piece", &piece_bytes<TopLogprob>)
      .def_readonly("logprob", &TopLogprob::logprob);
  py::class_<TokenLogprob>(module, "TokenLogprob")
      .def_readonly("token", &TokenLogprob::token)
      .def_property_readonly("piece", &piece_bytes<TokenLogprob>)
      .def_readonly("logprob", &TokenLogprob::logprob)
      .def_readonly("top", &TokenLogprob::top);
}

}  // namespace

void register_events(py::module_& module) {
  register_logprobs(module);
  py::class_<Finish>(module, "Finish")
      .def_property_readonly(
          "reason",
          [](const Finish& f) { return f.reason == FinishReason::kStop ? "stop" : "length"; })
      .def_readonly("stop_string", &Finish::stop_string)
      .def_readonly("n_prompt_tokens", &Finish::n_prompt_tokens)
      .def_readonly("n_completion_tokens", &Finish::n_completion_tokens)
      .def_readonly("n_cached_tokens", &Finish::n_cached_tokens)
      .def_readonly("n_draft_accepted", &Finish::n_draft_accepted)
      .def_readonly("n_draft_rejected", &Finish::n_draft_rejected)
      .def_readonly("queue_ms", &Finish::queue_ms)
      .def_readonly("prompt_ms", &Finish::prompt_ms)
      .def_readonly("decode_ms", &Finish::decode_ms);
  py::class_<AcceptedEvent>(module, "AcceptedEvent")
      .def_readonly("n_prompt_tokens", &AcceptedEvent::n_prompt_tokens);
  py::class_<DeltaEvent>(module, "DeltaEvent")
      .def_readonly("text", &DeltaEvent::text)
      .def_readonly("n_tokens", &DeltaEvent::n_tokens)
      .def_readonly("tokens", &DeltaEvent::tokens)
      .def_readonly("logprobs", &DeltaEvent::logprobs)
      .def_readonly("prompt_logprobs", &DeltaEvent::prompt_logprobs)
      .def_property_readonly("embedding", &embedding_bytes)
      .def_readonly("finish", &DeltaEvent::finish);
  py::class_<FailedEvent>(module, "FailedEvent")
      .def_property_readonly("code", [](const FailedEvent& e) { return code_name(e.error.code); })
      .def_property_readonly("message",
                             [](const FailedEvent& e) { return readable(e.error.message); })
      .def_property_readonly("param", [](const FailedEvent& e) { return e.error.param; })
      .def_property_readonly("details", [](const FailedEvent& e) { return e.error.details; });
  py::class_<Event>(module, "Event")
      .def_readonly("id", &Event::id)
      .def_readonly("body", &Event::body);
}

}  // namespace pyserve
