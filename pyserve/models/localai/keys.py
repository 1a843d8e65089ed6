"""LocalAI's YAML keys that have no effect here, with the reason.

A key not listed here and not in `localai_schema` is unknown. A listed mapping stands for all that
is in it.
"""

from __future__ import annotations

GPU = "there is no GPU here"
OTHER = "it is for other kinds of models"
BACKEND = "it is for other backends"
SERVER = "it is for LocalAI's own server"
TOOLS = "a model may always answer with text, and the templates say how it writes calls"

WITHOUT_EFFECT: dict[str, str] = {
    **dict.fromkeys(
        (
            "gpu_layers", "main_gpu", "tensor_split", "no_mulmatq", "no_mul_mat_q", "low_vram",
            "no_kv_offloading", "gpu_memory_utilization", "cuda", "tensor_parallel_size",
        ),
        GPU,
    ),
    **dict.fromkeys(
        (
            "diffusers", "step", "vall-e", "tts", "audio_path", "mmproj", "voice", "whisper",
            "parameters.language", "parameters.translate", "parameters.clip_skip", "pipeline",
            "template.multimodal", "limit_mm_per_prompt", "sound_generation", "parameters.voice",
        ),
        OTHER,
    ),
    **dict.fromkeys(
        (
            "trust_remote_code", "enforce_eager", "swap_space", "max_model_len", "quantization",
            "load_format", "dtype", "disable_log_stats", "type", "rwkv", "tokenizer",
            "parameters.tokenizer", "parameters.use_fast_tokenizer", "cfg_scale",
            "engine_args",
            "disable_log_status",
        ),
        BACKEND,
    ),
    **dict.fromkeys(
        (
            "artifacts", "debug", "feature_flags", "grpc", "mcp", "agent", "pii",
            "router", "tests", "known_input",
            "parameters.cache", "urls", "license", "icon", "tags",
            "size", "proxy", "known_input_modalities", "known_output_modalities", "config_file",
            "files", "remote", "installed", "gallery", "url",
        ),
        SERVER,
    ),
    **dict.fromkeys(("rms_norm_eps", "ngqa"), "GGUF files say it themselves"),
    **dict.fromkeys(("f16", "parameters.f16kv"), "cache_type_k and cache_type_v say it"),
    **dict.fromkeys(
        ("context_shift", "parameters.n_keep", "parameters.keep"),
        "an answer ends where the context does",
    ),
    **dict.fromkeys(
        ("prompt_cache_path", "prompt_cache_all", "prompt_cache_ro", "cache_prompt"),
        "what was computed is kept in memory and on disk, as --prefix-cache-dir says",
    ),
    **dict.fromkeys(("parameters.tfz", "parameters.tfs_z"), "llama.cpp has it no longer"),
    **dict.fromkeys(
        (
            "function.no_action_function_name", "function.no_action_description_name",
            "function.xml_format", "function.xml_format_preset",
            "function.automatic_tool_parsing_fallback", "function.disable_peg_parser",
            "function.grammar.disable_parallel_new_lines",
            "function.grammar.no_mixed_free_string", "function.grammar.schema_type",
            "function.grammar.expect_strings_after_json",
        ),
        TOOLS,
    ),
    "compression.compressor_model": "the model of the conversation makes its summary",
    "lora_base": "adapters act on the model itself",
    **dict.fromkeys(
        (
            "parameters.negative_prompt", "negative_prompt",
            "parameters.negative_prompt_scale",
        ),
        "llama.cpp has no classifier-free guidance any longer",
    ),
}  # fmt: skip
