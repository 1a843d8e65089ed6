// The engine. Every call that can wait releases the GIL.

#include "pyserve/engine.h"

#include <memory>

#include "bindings.h"
#include "records.h"

namespace py = pybind11;

namespace pyserve {
namespace {

using ReleaseGil = py::call_guard<py::gil_scoped_release>;

std::unique_ptr<Engine> make_engine(EngineConfig config, std::vector<std::string> adapter_paths,
                                    std::vector<std::string> shown_tokens, std::string prefix_build,
                                    bool tells_blocks) {
  config.adapter_paths = std::move(adapter_paths);
  config.shown_tokens = std::move(shown_tokens);
  config.prefix_build = std::move(prefix_build);
  config.tells_blocks = tells_blocks;
  const py::gil_scoped_release release;
  return std::make_unique<Engine>(config);
}

// adapters: an index and a scale of each.
void submit(Engine& engine, Request request, RequestId id, decltype(Request::prompt) prompt,
            const std::vector<std::pair<int, float>>& adapters) {
  request.id = id;
  request.prompt = std::move(prompt);
  for (const auto& [adapter, scale] : adapters) request.adapters.push_back({adapter, scale});
  engine.submit(std::move(request));
}

// The template of a model file may hold bytes that are no UTF-8.
py::str render(Engine& engine, const ChatPrompt& prompt) {
  std::string text;
  {
    const py::gil_scoped_release release;
    text = engine.render(prompt);
  }
  return readable(text);
}

py::list poll(Engine& engine, double timeout_ms) {
  std::vector<Event> events;
  {
    const py::gil_scoped_release release;
    events = engine.poll(timeout_ms);
  }
  py::list list(events.size());
  for (size_t i = 0; i < events.size(); ++i) list[i] = to_python(events[i]);
  return list;
}

std::vector<py::bytes> pieces(Engine& engine, const std::vector<Token>& tokens) {
  std::vector<std::string> pieces;
  {
    py::gil_scoped_release release;
    pieces = engine.pieces(tokens);
  }
  return {pieces.begin(), pieces.end()};
}

// Names of tokens may be no UTF-8, too: then they stand in no text that clients send.
py::list control_texts(Engine& engine) {
  py::list texts;
  for (const std::string& text : engine.control_texts()) texts.append(readable(text));
  return texts;
}

}  // namespace

void register_engine(py::module_& module) {
  py::class_<Engine>(module, "Engine")
      .def(py::init(&make_engine), py::arg("config"), py::kw_only(), py::arg("adapter_paths"),
           py::arg("shown_tokens"), py::arg("prefix_build"), py::arg("tells_blocks"))
      .def("submit", &submit, py::arg("request"), py::kw_only(), py::arg("id"), py::arg("prompt"),
           py::arg("adapters"), ReleaseGil())
      .def("cancel", &Engine::cancel, py::arg("id"), ReleaseGil())
      .def("poll", &poll, py::arg("timeout_ms"))
      .def("tokenize", &Engine::tokenize, py::arg("text"), py::arg("add_special"),
           py::arg("parse_special"), ReleaseGil())
      .def("detokenize", &Engine::detokenize, py::arg("tokens"), ReleaseGil())
      .def("pieces", &pieces, py::arg("tokens"))
      .def("control_texts", &control_texts)
      .def("render", &render, py::arg("prompt"))
      .def("tokenize_chat", &Engine::tokenize_chat, py::arg("prompt"), ReleaseGil())
      .def("tokenize_segments", &Engine::tokenize_segments, py::arg("prompt"), ReleaseGil())
      .def("clear_prefixes", &Engine::clear_prefixes, ReleaseGil())
      .def("take_prefix_changes", &Engine::take_prefix_changes, py::arg("timeout_ms"), ReleaseGil())
      .def("info", &Engine::info, ReleaseGil())
      .def("stats", &Engine::stats, ReleaseGil())
      .def("stop", &Engine::stop, ReleaseGil());
}

}  // namespace pyserve
