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
      .def_readwrite("dynatemp_range", &SamplingParams::dynatemp_range)
      .def_readwrite("dynatemp_exponent", &SamplingParams::dynatemp_exponent)
      .def_readwrite("top_k", &SamplingParams::top_k)
      .def_readwrite("top_p", &SamplingParams::top_p)
      .def_readwrite("min_p", &SamplingParams::min_p)
      .def_readwrite("typical_p", &SamplingParams::typical_p)
      .def_readwrite("top_n_sigma", &SamplingParams::top_n_sigma)
      .def_readwrite("min_keep", &SamplingParams::min_keep)
      .def_readwrite("xtc_probability", &SamplingParams::xtc_probability)
      .def_readwrite("xtc_threshold", &SamplingParams::xtc_threshold)
      .def_readwrite("repeat_penalty", &SamplingParams::repeat_penalty)
      .def_readwrite("repeat_last_n", &SamplingParams::repeat_last_n)
      .def_readwrite("frequency_penalty", &SamplingParams::frequency_penalty)
      .def_readwrite("presence_penalty", &SamplingParams::presence_penalty)
      .def_readwrite("dry_multiplier", &SamplingParams::dry_multiplier)
      .def_readwrite("dry_base", &SamplingParams::dry_base)
      .def_readwrite("dry_allowed_length", &SamplingParams::dry_allowed_length)
      .def_readwrite("dry_penalty_last_n", &SamplingParams::dry_penalty_last_n)
      .def_readwrite("dry_sequence_breakers", &SamplingParams::dry_sequence_breakers)
      .def_readwrite("mirostat", &SamplingParams::mirostat)
      .def_readwrite("mirostat_tau", &SamplingParams::mirostat_tau)
      .def_readwrite("mirostat_eta", &SamplingParams::mirostat_eta)
      .def_readwrite("adaptive_target", &SamplingParams::adaptive_target)
      .def_readwrite("adaptive_decay", &SamplingParams::adaptive_decay)
      .def_readwrite("samplers", &SamplingParams::samplers)
      .def_readwrite("logit_bias", &SamplingParams::logit_bias)
      .def_readwrite("seed", &SamplingParams::seed)
      .def_readwrite("ignore_eos", &SamplingParams::ignore_eos);
  py::class_<AdapterScale>(module, "AdapterScale")
      .def(py::init<int, float>(), py::arg("adapter"), py::arg("scale"));
  py::class_<ChatPrompt>(module, "ChatPrompt")
      .def(py::init<std::string, std::string, std::string>(), py::arg("messages_json"),
           py::arg("tools_json") = "", py::arg("kwargs_json") = "");
  py::class_<TextPrompt>(module, "TextPrompt").def(py::init<std::string>());
  py::class_<SegmentPrompt>(module, "SegmentPrompt")
      .def(py::init<std::vector<std::pair<std::string, bool>>>());
  py::class_<TokenPrompt>(module, "TokenPrompt").def(py::init<std::vector<Token>>());
  py::class_<ThinkingLimit>(module, "ThinkingLimit")
      .def(py::init<>())
      .def_readwrite("begin", &ThinkingLimit::begin)
      .def_readwrite("end", &ThinkingLimit::end)
      .def_readwrite("is_open", &ThinkingLimit::is_open)
      .def_readwrite("max_tokens", &ThinkingLimit::max_tokens);
  py::class_<Request>(module, "Request")
      .def(py::init<>())
      .def_readwrite("id", &Request::id)
      .def_readwrite("prompt", &Request::prompt)
      .def_readwrite("sampling", &Request::sampling)
      .def_readwrite("adapters", &Request::adapters)
      .def_readwrite("wants_embedding", &Request::wants_embedding)
      .def_readwrite("max_tokens", &Request::max_tokens)
      .def_readwrite("stop", &Request::stop)
      .def_readwrite("grammar", &Request::grammar)
      .def_readwrite("draft", &Request::draft)
      .def_readwrite("n_draft_max", &Request::n_draft_max)
      .def_readwrite("thinking", &Request::thinking)
      .def_readwrite("said", &Request::said)
      .def_readwrite("n_logprobs", &Request::n_logprobs)
      .def_readwrite("n_prompt_logprobs", &Request::n_prompt_logprobs)
      .def_readwrite("tenant", &Request::tenant)
      .def_readwrite("cache_salt", &Request::cache_salt)
      .def_readwrite("priority", &Request::priority)
      .def_readwrite("deadline_ms", &Request::deadline_ms)
      .def_readwrite("is_deterministic", &Request::is_deterministic);
}

}  // namespace pyserve
