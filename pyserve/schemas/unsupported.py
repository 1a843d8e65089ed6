"""The fields of OpenAI and of other servers that a schema does not have: what becomes of each.

A field that a schema has is built. Of the others a field is *refused* if an answer with it would be
another one, and *named* in `X-Ignored-Fields` if it asks for more beside the answer, for speed, or
for what does not exist here; so is a name that nobody knows. Each maps to its neutral values, which
are as good as absent; numbers may be integers or floats. `tests/support/request_names.toml` has the
names of the known servers, and a test asks for a decision about every one.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

Unsupported = Mapping[str, tuple[object, ...]]
NOTHING: Unsupported = MappingProxyType({})
ANY = object()  # the neutral value of a field that says nothing about the answer


class FieldTable(NamedTuple):
    """What becomes of fields that a schema does not have."""

    refused: Unsupported = NOTHING
    named: Unsupported = NOTHING


# What a conversation or a prompt is made of.
PROMPT: Unsupported = {
    "add_bos_token": (True,),
    "add_generation_prompt": (True,),
    "add_special": (True,),
    "add_special_tokens": (False,),
    "character": (),
    "chat_template": (),
    "chat_template_kwargs": ({},),
    "content": ("",),
    "context": ([], ""),
    "continue_": (False,),
    "continue_final_message": (False,),
    "documents": ([],),
    "echo": (False,),
    "generation_prompt": ("",),
    "images": ([],),
    "input": ("", []),
    "input_extra": ([],),
    "input_prefix": ("",),
    "input_suffix": ("",),
    "instruction": ("",),
    "instruction_template": ("",),
    "instructions": ("",),
    "integrations": ([],),
    "mcp_servers": ([],),
    "messages": (),
    "mode": (),
    "negative_prompt": ("",),
    "negative_prompt_scale": (0, 1),
    "parse_special": (False,),
    "prediction": (),
    "preset": ("",),
    "prompt": ("",),
    "prompt_embeds": (),
    "prompt_mode": (),
    "prompt_truncate_len": (),
    "raw": (False,),
    "safe_prompt": (False,),
    "suffix": ("",),
    "system": ("", []),
    "system_prompt": ("",),
    "template": ("",),
    "truncate_prompt_tokens": (),
    "truncation": ("disabled",),
    "truncation_length": (),
    "context_length": (),
    "context_length_exceeded_behavior": ("error",),
}
# What is kept elsewhere, or done by others: stored answers, searches, other modalities.
SERVICES: Unsupported = {
    "audio": (),
    "background": (False,),
    "compaction": (),
    "context_management": ([], {}),
    "conversation": (),
    "deferred": (False,),
    "enable_search": (False,),
    "file": ("",),
    "height": (),
    "image": (),
    "image_config": (),
    "modalities": (["text"],),
    "models": ([],),
    "moderation": (),
    "plugins": ([],),
    "previous_response_id": (),
    "route": (),
    "search_options": (),
    "search_parameters": (),
    "steps": (),
    "thread": (),
    "transforms": ([],),
    "web_search_options": (),
    "width": (),
}
# What the answer may look like.
CONSTRAINTS: Unsupported = {
    "choice": (),
    "ebnf": (),
    "format": ("",),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "grammar": ("",),
    "grammar_json_functions": (),
    "grammar_lazy": (False,),
    "grammar_string": ("",),
    "grammar_triggers": ([],),
    "grammar_type": ("", "user"),
    "guided_choice": (),
    "guided_grammar": (),
    "guided_json": (),
    "guided_regex": (),
    "guided_whitespace_pattern": (),
    "json_schema": (),
    "output_config": ({},),
    "output_format": (),
    "parallel_tool_calls": (True, False),
    "parse_tool_calls": (True,),
    "regex": ("",),
    "response_format": ({"type": "text"},),
    "structured_outputs": (),
    "text": ({},),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "verbosity": ("medium",),
}
# Whether the model thinks, and how long.
THINKING: Unsupported = {
    "enable_thinking": (False,),
    "preserved_tokens": ([],),
    "reasoning": ({}, "off", {"effort": "none"}, {"enabled": False}),
    "reasoning_budget": (0, -1),
    "reasoning_budget_end_tag": ("",),
    "reasoning_budget_end_tags": ([],),
    "reasoning_budget_message": ("",),
    "reasoning_budget_start_tag": ("",),
    "reasoning_budget_tokens": (0, -1),
    "reasoning_effort": ("none",),
    "think": (False,),
    "thinking": ({"type": "disabled"},),
    "thinking_budget": (0, -1),
    "thinking_budget_tokens": (0, -1),
    "thinking_forced_open": (False,),
    "thinking_token_budget": (0, -1),
}
# Which token comes next.
SAMPLERS: Unsupported = {
    "best_of": (1,),
    "custom_logit_processor": (),
    "custom_params": ({},),
    "custom_token_bans": ("",),
    "do_sample": (True,),
    "dry_range": (0,),
    "dynamic_temperature": (False,),
    "dynatemp_high": (1,),
    "dynatemp_low": (1,),
    "encoder_repetition_penalty": (1,),
    "epsilon_cutoff": (0,),
    "eta_cutoff": (0,),
    "guidance_scale": (1,),
    "length_penalty": (1,),
    "logits_processors": ([],),
    "max_temp": (0,),
    "min_temp": (0,),
    "mirostat_mode": (0,),
    "no_repeat_ngram_size": (0,),
    "nsigma": (0,),
    "penalize_newline": (True,),
    "penalty_alpha": (0,),
    "random_seed": (),
    "rep_pen": (1,),
    "rep_pen_range": (),
    "rep_pen_slope": (1,),
    "repetition_detection": (),
    "repetition_penalty_range": (0,),
    "sampler_order": (),
    "sampler_priority": (),
    "sampler_seed": (),
    "smoothing_curve": (1,),
    "smoothing_factor": (0,),
    "temperature_last": (False,),
    "tfs": (1,),
    "tfs_z": (1,),
    "tfz": (1,),
    "top_a": (0,),
    "typical": (1,),
    "use_beam_search": (False,),
    "vllm_xargs": ({},),
}
# Where the answer ends, and what of it is shown.
ENDINGS: Unsupported = {
    "_debug_render_only": (False,),
    "auto_max_new_tokens": (False,),
    "logprob_token_ids": ([],),
    "logprobs": (False,),
    "max_completion_tokens": (),
    "max_length": (),
    "max_new_tokens": (),
    "max_output_tokens": (),
    "min_new_tokens": (0,),
    "n_indent": (0,),
    "n_predict": (-1,),
    "n_probs": (0,),
    "no_stop_trim": (False,),
    "num_predict": (-1,),
    "post_sampling_probs": (False,),
    "prompt_logprobs": (),
    "raw_output": (False,),
    "return_hidden_states": (False,),
    "return_tokens_as_token_ids": (False,),
    "skip_special_tokens": (True,),
    "spaces_between_special_tokens": (True,),
    "stop_regex": ([], ""),
    "stop_sequence": ([],),
    "stop_sequences": ([],),
    "stream": (False,),
    "t_max_prompt_ms": (0, -1),
    "top_logprobs": (0,),
}
UNSUPPORTED: Unsupported = {
    **PROMPT,
    **SERVICES,
    **CONSTRAINTS,
    **THINKING,
    **SAMPLERS,
    **ENDINGS,
}

# More beside the answer: counts, times, ids, progress.
REPORTS: Unsupported = {
    "echo_prompt": (False,),
    "include": ([],),
    "include_reasoning": (True, False),
    "perf_metrics_in_response": (False,),
    "reasoning_control": (False,),
    "reasoning_format": ("auto", "none"),
    "response_fields": ([],),
    "result_format": ("message",),
    "return_progress": (False,),
    "return_routed_experts": (False,),
    "return_token_ids": (False,),
    "return_tokens": (False,),
    "separate_reasoning": (True,),
    "sse_ping_interval": (),
    "stream_options": ({},),
    "stream_reasoning": (True,),
    "timings_per_token": (False,),
    "top_n": (),
    "usage": (),
    "verbose": (False,),
}
# How the answer is computed, cached, scheduled and billed. The same one comes without.
MEANS: Unsupported = {
    "access_programs": (),
    "backend": (),
    "backend_sampling": (False,),
    "background_options": (),
    "batch": (),
    "betas": ([],),
    "billing_policy": (),
    "bootstrap_host": (),
    "bootstrap_port": (),
    "bootstrap_room": (),
    "cache_control": (),
    "cache_prompt": (True,),
    "chat_format": (),
    "chat_parser": (),
    "chat_template_content_format": ("auto",),
    "clip_skip": (),
    "container": (),
    "data_parallel_rank": (),
    "diagnostics": (),
    "draft_model": (),
    "draft_num_predict": (),
    "f16": (),
    "f16_kv": (),
    "fallback_credit_token": (),
    "fallbacks": (),
    "guided_decoding_backend": (),
    "id_slot": (-1,),
    "inference_geo": (),
    "kv_transfer_params": (),
    "language": (),
    "low_vram": (False,),
    "main_gpu": (0,),
    "max_tool_calls": (),
    "media_io_kwargs": (),
    "message_delimiters": ([],),
    "metadata": (ANY,),
    "mm_processor_kwargs": (),
    "model_base_name": (),
    "n_cache_reuse": (0,),
    "n_discard": (0,),
    "n_keep": (0, -1),
    "num_batch": (),
    "num_gpu": (),
    "num_keep": (),
    "num_thread": (),
    "numa": (False,),
    "prompt_cache_options": (),
    "prompt_lookup_num_tokens": (0,),
    "provider": (),
    "request_id": (),
    "rid": (),
    "rope_freq_base": (),
    "rope_freq_scale": (),
    "safety_identifier": (ANY,),
    "session_id": (),
    "session_params": (),
    "shift": (),
    "size": (),
    "speculative.n_min": (),
    "speculative.ngram_min_hits": (),
    "speculative.ngram_size_m": (),
    "speculative.ngram_size_n": (),
    "speculative.p_min": (),
    "speculative.type": (),
    "speed": (),
    "static_cache": (False,),
    "step": (),
    "store": (ANY,),
    "trace": (),
    "truncate": (),
    "truncation_side": (),
    "use_fast_tokenizer": (),
    "use_mlock": (),
    "use_mmap": (),
    "user": (ANY,),
    "user_id": (),
    "user_profile_id": (),
    "vocab_only": (False,),
    "workspace_id": (),
}

# What becomes of the vector of a text.
EMBEDDING: Unsupported = {
    "dimensions": (),
    "embd_normalize": (2,),
    "encoding_format": ("float",),
    "input_type": (),
    "normalize": (True,),
    "output_dimension": (),
    "output_dtype": ("float",),
    "pooling_type": (),
    "task": (),
    "use_activation": (),
}

GENERATION = FieldTable(UNSUPPORTED, {**REPORTS, **MEANS, **EMBEDDING})
# Nothing is sampled for a vector: fields of answers are named.
VECTORS = FieldTable(
    {**PROMPT, "add_special_tokens": (True,), **EMBEDDING}, {**UNSUPPORTED, **REPORTS, **MEANS}
)
# Ollama's options but `num_ctx`: how to sample is said in the request itself.
OPTIONS = FieldTable(
    {
        "frequency_penalty": (),
        "min_p": (),
        "mirostat": (),
        "mirostat_eta": (),
        "mirostat_tau": (),
        "num_predict": (),
        "penalize_newline": (),
        "presence_penalty": (),
        "repeat_last_n": (),
        "repeat_penalty": (),
        "seed": (),
        "stop": (),
        "temperature": (),
        "tfs_z": (),
        "top_k": (),
        "top_p": (),
        "typical_p": (),
    }
)
REASONING = FieldTable(named={"summary": ()})
STREAM_OPTIONS = FieldTable(named={"include_obfuscation": (False,)})
# Parts of earlier answers and of conversations that clients send back as they came.
MESSAGE = FieldTable(
    named={
        "annotations": ([],),
        "audio": (),
        "created_at": (ANY,),
        "id": (ANY,),
        "images": ([],),
        "logprobs": (ANY,),
        "object": (ANY,),
        "phase": (ANY,),
        "status": (ANY,),
    },
)
CALL = FieldTable(named={"index": (ANY,)})


def first_unsupported(data: Mapping[str, Any], unsupported: Unsupported) -> str | None:
    """The first field of `data` with a value that is not neutral."""
    for name, neutral_values in unsupported.items():
        if name in data and not is_neutral(data[name], neutral_values):
            return name
    return None


def is_neutral(value: object, neutral_values: tuple[object, ...]) -> bool:
    """Whether a value is as good as absent."""
    return value is None or any(_is_same(value, neutral) for neutral in neutral_values)


def _is_same(value: object, neutral: object) -> bool:
    """Equal, with 0 and 0.0 the same and 0 and False not."""
    if neutral is ANY:
        return True
    return isinstance(value, bool) == isinstance(neutral, bool) and value == neutral
