// Requests as plain records.

#include <pybind11/stl.h>

#include "bindings.h"
#include "pyserve/request.h"

namespace py = pybind11;

namespace pyserve {

void register_request(py::module_& module) {
  py::class_<SamplingParams>(module, "SamplingParams")
      .def(py::init<>())
      .def_readwrite("temperature", &SamplingParams::temperature)
      .def_readwrite("top_k", &SamplingParams::top_k)
      .def_readwrite("top_p", &SamplingParams::top_p)
      .def_readwrite("min_p", &SamplingParams::min_p)
      .def_readwrite("typical_p", &SamplingParams::typical_p)
      .def_readwrite("repeat_penalty", &SamplingParams::repeat_penalty)
      .def_readwrite("repeat_last_n", &SamplingParams::repeat_last_n)
      .def_readwrite("frequency_penalty", &SamplingParams::frequency_penalty)
      .def_readwrite("presence_penalty", &SamplingParams::presence_penalty)
      .def_readwrite("logit_bias", &SamplingParams::logit_bias)
      .def_readwrite("seed", &SamplingParams::seed)
      .def_readwrite("ignore_eos", &SamplingParams::ignore_eos);
  py::class_<ChatPrompt>(module, "ChatPrompt").def(py::init<std::string>());
  py::class_<TextPrompt>(module, "TextPrompt").def(py::init<std::string>());
  py::class_<TokenPrompt>(module, "TokenPrompt").def(py::init<std::vector<Token>>());
  py::class_<Request>(module, "Request")
      .def(py::init<>())
      .def_readwrite("id", &Request::id)
      .def_readwrite("prompt", &Request::prompt)
      .def_readwrite("sampling", &Request::sampling)
      .def_readwrite("max_tokens", &Request::max_tokens)
      .def_readwrite("stop", &Request::stop)
      .def_readwrite("n_logprobs", &Request::n_logprobs)
      .def_readwrite("n_prompt_logprobs", &Request::n_prompt_logprobs)
      .def_readwrite("tenant", &Request::tenant)
      .def_readwrite("cache_salt", &Request::cache_salt)
      .def_readwrite("priority", &Request::priority)
      .def_readwrite("deadline_ms", &Request::deadline_ms)
      .def_readwrite("is_deterministic", &Request::is_deterministic);
}

}  // namespace pyserve
