// The engine. Every call that can wait releases the GIL.

#include <pybind11/stl.h>

#include "bindings.h"
#include "pyserve/engine.h"

namespace py = pybind11;

namespace pyserve {
namespace {

using ReleaseGil = py::call_guard<py::gil_scoped_release>;

// The template of a model file may hold bytes that are no UTF-8.
py::str render(Engine& engine, const ChatPrompt& prompt) {
  std::string text;
  {
    const py::gil_scoped_release release;
    text = engine.render(prompt);
  }
  return readable(text);
}

// Events as they are, but a delta of text alone, as most are, as a tuple of id, text and tokens. A
// step of the model leaves the caches cold: making a record and asking for each of its fields takes
// a fifth of the caller's time.
py::list poll(Engine& engine, double timeout_ms) {
  std::vector<Event> events;
  {
    const py::gil_scoped_release release;
    events = engine.poll(timeout_ms);
  }
  py::list list(events.size());
  for (size_t i = 0; i < events.size(); ++i) {
    const auto* delta = std::get_if<DeltaEvent>(&events[i].body);
    list[i] = delta != nullptr && delta->is_text_alone()
                  ? py::object(py::make_tuple(events[i].id, delta->text, delta->tokens))
                  : py::cast(std::move(events[i]));
  }
  return list;
}

void register_config(py::module_& module) {
  py::class_<RopeConfig>(module, "RopeConfig")
      .def(py::init<>())
      .def_readwrite("scaling", &RopeConfig::scaling)
      .def_readwrite("freq_base", &RopeConfig::freq_base)
      .def_readwrite("freq_scale", &RopeConfig::freq_scale)
      .def_readwrite("yarn_ext_factor", &RopeConfig::yarn_ext_factor)
      .def_readwrite("yarn_attn_factor", &RopeConfig::yarn_attn_factor)
      .def_readwrite("yarn_beta_fast", &RopeConfig::yarn_beta_fast)
      .def_readwrite("yarn_beta_slow", &RopeConfig::yarn_beta_slow)
      .def_readwrite("yarn_orig_ctx", &RopeConfig::yarn_orig_ctx);
  py::class_<MetadataOverride>(module, "MetadataOverride")
      .def(py::init<std::string, decltype(MetadataOverride::value)>(), py::arg("key"),
           py::arg("value"));
  py::class_<EngineConfig>(module, "EngineConfig")
      .def(py::init<>())
      .def_readwrite("model_path", &EngineConfig::model_path)
      .def_readwrite("adapter_paths", &EngineConfig::adapter_paths)
      .def_readwrite("n_ctx", &EngineConfig::n_ctx)
      .def_readwrite("n_kv", &EngineConfig::n_kv)
      .def_readwrite("n_seq_max", &EngineConfig::n_seq_max)
      .def_readwrite("n_batch", &EngineConfig::n_batch)
      .def_readwrite("kernels", &EngineConfig::kernels)
      .def_readwrite("n_threads", &EngineConfig::n_threads)
      .def_readwrite("n_threads_batch", &EngineConfig::n_threads_batch)
      .def_readwrite("is_deterministic", &EngineConfig::is_deterministic)
      .def_readwrite("n_queue_max", &EngineConfig::n_queue_max)
      .def_readwrite("use_mmap", &EngineConfig::use_mmap)
      .def_readwrite("use_mlock", &EngineConfig::use_mlock)
      .def_readwrite("rope", &EngineConfig::rope)
      .def_readwrite("cache_type_k", &EngineConfig::cache_type_k)
      .def_readwrite("cache_type_v", &EngineConfig::cache_type_v)
      .def_readwrite("flash_attn", &EngineConfig::flash_attn)
      .def_readwrite("numa", &EngineConfig::numa)
      .def_readwrite("overrides", &EngineConfig::overrides)
      .def_readwrite("n_bytes_available", &EngineConfig::n_bytes_available)
      .def_readwrite("shown_tokens", &EngineConfig::shown_tokens)
      .def_readwrite("prefix_cache_mib", &EngineConfig::prefix_cache_mib)
      .def_readwrite("n_draft_max", &EngineConfig::n_draft_max)
      .def_readwrite("draft_model_path", &EngineConfig::draft_model_path)
      .def_readwrite("n_draft_min", &EngineConfig::n_draft_min)
      .def_readwrite("draft_p_min", &EngineConfig::draft_p_min)
      .def_readwrite("max_token_gap_ms", &EngineConfig::max_token_gap_ms);
  py::class_<ModelInfo>(module, "ModelInfo")
      .def_readonly("architecture", &ModelInfo::architecture)
      .def_readonly("description", &ModelInfo::description)
      .def_readonly("quantization", &ModelInfo::quantization)
      .def_readonly("n_params", &ModelInfo::n_params)
      .def_readonly("size_bytes", &ModelInfo::size_bytes)
      .def_readonly("n_vocab", &ModelInfo::n_vocab)
      .def_readonly("n_embd", &ModelInfo::n_embd)
      .def_readonly("n_layer", &ModelInfo::n_layer)
      .def_readonly("n_ctx_train", &ModelInfo::n_ctx_train)
      .def_readonly("n_ctx", &ModelInfo::n_ctx)
      .def_readonly("n_seq_max", &ModelInfo::n_seq_max)
      .def_readonly("n_threads", &ModelInfo::n_threads)
      .def_readonly("n_threads_batch", &ModelInfo::n_threads_batch)
      .def_readonly("n_kv", &ModelInfo::n_kv)
      .def_readonly("cache_type_k", &ModelInfo::cache_type_k)
      .def_readonly("cache_type_v", &ModelInfo::cache_type_v)
      .def_readonly("kv_bytes", &ModelInfo::kv_bytes)
      .def_readonly("compute_bytes", &ModelInfo::compute_bytes)
      .def_readonly("can_generate", &ModelInfo::can_generate)
      .def_readonly("has_chat_template", &ModelInfo::has_chat_template)
      .def_readonly("chat_template", &ModelInfo::chat_template)
      .def_readonly("bos_token", &ModelInfo::bos_token)
      .def_readonly("eos_token", &ModelInfo::eos_token)
      .def_readonly("fim_pre_token", &ModelInfo::fim_pre_token)
      .def_readonly("fim_suf_token", &ModelInfo::fim_suf_token)
      .def_readonly("fim_mid_token", &ModelInfo::fim_mid_token)
      .def_readonly("load_ms", &ModelInfo::load_ms)
      .def_readonly("kernels", &ModelInfo::kernels);
}

void register_stats(py::module_& module) {
  py::class_<EngineStats>(module, "EngineStats")
      .def_readonly("n_running", &EngineStats::n_running)
      .def_readonly("n_waiting", &EngineStats::n_waiting)
      .def_readonly("n_finished", &EngineStats::n_finished)
      .def_readonly("n_failed", &EngineStats::n_failed)
      .def_readonly("n_cancelled", &EngineStats::n_cancelled)
      .def_readonly("n_prompt_tokens", &EngineStats::n_prompt_tokens)
      .def_readonly("n_cached_tokens", &EngineStats::n_cached_tokens)
      .def_readonly("n_decode_tokens", &EngineStats::n_decode_tokens)
      .def_readonly("n_steps", &EngineStats::n_steps)
      .def_readonly("n_preempted", &EngineStats::n_preempted)
      .def_readonly("n_threads", &EngineStats::n_threads)
      .def_readonly("prompt_ms", &EngineStats::prompt_ms)
      .def_readonly("decode_ms", &EngineStats::decode_ms)
      .def_readonly("n_kv_used", &EngineStats::n_kv_used)
      .def_readonly("n_kv_total", &EngineStats::n_kv_total)
      .def_readonly("n_prefix_hits", &EngineStats::n_prefix_hits)
      .def_readonly("n_prefix_restored", &EngineStats::n_prefix_restored)
      .def_readonly("n_prefix_pins", &EngineStats::n_prefix_pins)
      .def_readonly("prefix_copy_bytes", &EngineStats::prefix_copy_bytes)
      .def_readonly("stalled_ms", &EngineStats::stalled_ms);
}

std::vector<py::bytes> pieces(Engine& engine, const std::vector<Token>& tokens) {
  std::vector<std::string> pieces;
  {
    py::gil_scoped_release release;
    pieces = engine.pieces(tokens);
  }
  return {pieces.begin(), pieces.end()};
}

}  // namespace

void register_engine(py::module_& module) {
  register_config(module);
  register_stats(module);
  py::class_<Engine>(module, "Engine")
      .def(py::init<const EngineConfig&>(), py::arg("config"), ReleaseGil())
      .def("submit", &Engine::submit, py::arg("request"), ReleaseGil())
      .def("cancel", &Engine::cancel, py::arg("id"), ReleaseGil())
      .def("poll", &poll, py::arg("timeout_ms"))
      .def("tokenize", &Engine::tokenize, py::arg("text"), py::arg("add_special"),
           py::arg("parse_special"), ReleaseGil())
      .def("detokenize", &Engine::detokenize, py::arg("tokens"), ReleaseGil())
      .def("pieces", &pieces, py::arg("tokens"))
      .def("render", &render, py::arg("prompt"))
      .def("tokenize_chat", &Engine::tokenize_chat, py::arg("prompt"), ReleaseGil())
      .def("tokenize_segments", &Engine::tokenize_segments, py::arg("prompt"), ReleaseGil())
      .def("info", &Engine::info, ReleaseGil())
      .def("stats", &Engine::stats, ReleaseGil())
      .def("stop", &Engine::stop, ReleaseGil());
}

}  // namespace pyserve
