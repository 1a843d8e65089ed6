"""Chat requests."""

from __future__ import annotations

import pytest

from pyserve.schemas.chat import ChatRequest
from pyserve.schemas.common import MAX_TEXT_BYTES
from tests.support.bodies import USER
from tests.support.problems import chat_problem

BEGUN = {"role": "assistant", "content": "Well,"}


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"messages": None}, "messages", "missing_required_parameter"),
        ({"cache_salt": 1}, "cache_salt", "invalid_type"),
        ({"speculative.n_max": -1}, "speculative.n_max", "invalid_value"),
        ({"max_token_gap_ms": -1}, "max_token_gap_ms", "invalid_value"),
        ({"max_token_gap_ms": 600_001}, "max_token_gap_ms", "invalid_value"),
        ({"max_token_gap_ms": "1"}, "max_token_gap_ms", "invalid_type"),
        ({"deterministic": 1}, "deterministic", "invalid_type"),
        ({"deterministic": "yes"}, "deterministic", "invalid_type"),
        ({"cache_salt": "x" * 257}, "cache_salt", "invalid_value"),
        ({"messages": "x"}, "messages", "invalid_type"),
        ({"messages": []}, "messages", "invalid_value"),
        ({"messages": [USER] * 2049}, "messages", "invalid_value"),
        ({"messages": [1]}, "messages.0", "invalid_type"),
        ({"messages": [{}]}, "messages.0.role", "missing_required_parameter"),
        ({"messages": [USER, {"role": 1}]}, "messages.1.role", "invalid_value"),
        ({"messages": [{"role": "root", "content": "x"}]}, "messages.0.role", "invalid_value"),
        ({"messages": [{"role": "user"}]}, "messages.0.content", "missing_required_parameter"),
        (
            {"messages": [{"role": "user", "content": None}]},
            "messages.0.content",
            "missing_required_parameter",
        ),
        (
            {"messages": [{"role": "user", "content": None, "tool_calls": []}]},
            "messages.0.content",
            "missing_required_parameter",
        ),
        ({"messages": [{"role": "user", "content": 1}]}, "messages.0.content", "invalid_type"),
        ({"messages": [{"role": "user", "content": []}]}, "messages.0.content", "invalid_value"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "messages.0.content.0.text",
            "missing_required_parameter",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "messages.0.content.0",
            "unsupported_content",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            "messages.0.content.0",
            "unsupported_content",
        ),
        ({"messages": [{**USER, "content": "é" * MAX_TEXT_BYTES}]}, "messages", "invalid_value"),
        ({"model": "a" * 257}, "model", "invalid_value"),
        ({"model": "a\0"}, "model", "invalid_value"),
        ({"model": 5}, "model", "invalid_type"),
        ({"stop": ""}, "stop", "invalid_value"),
        ({"stop": [""]}, "stop.0", "invalid_value"),
        ({"stop": ["a", 1]}, "stop.1", "invalid_type"),
        ({"stop": 1}, "stop", "invalid_type"),
        ({"stop": ["a"] * 65}, "stop", "invalid_value"),
        ({"stop": "a" * 257}, "stop", "invalid_value"),
        ({"stop": "a\0"}, "stop", "invalid_value"),
        ({"logit_bias": {"": 1}}, "logit_bias", "invalid_value"),
        ({"logit_bias": {"a" * 257: 1}}, "logit_bias", "invalid_value"),
        ({"logit_bias": {"-1": 1}}, "logit_bias", "invalid_value"),
        ({"logit_bias": {"9999999999": 1}}, "logit_bias", "invalid_value"),
        ({"logit_bias": {"5": 101}}, "logit_bias.5", "invalid_value"),
        ({"logit_bias": {str(i): 1 for i in range(1025)}}, "logit_bias", "invalid_value"),
        ({"logit_bias": {"5": True}}, "logit_bias.5", "invalid_type"),
        ({"logit_bias": {"5": "1"}}, "logit_bias.5", "invalid_type"),
        ({"logit_bias": [[5, 101]]}, "logit_bias.5", "invalid_value"),
        ({"logit_bias": [[5, 60], [5, 41]]}, "logit_bias.5", "invalid_value"),
        ({"logit_bias": [[0, 1], [-1, 1]]}, "logit_bias.1", "invalid_value"),
        ({"logit_bias": [[0, 1], [None, 1]]}, "logit_bias.1", "invalid_type"),
        ({"logit_bias": [[True, 1]]}, "logit_bias.0", "invalid_type"),
        ({"logit_bias": [[1, True]]}, "logit_bias.0", "invalid_type"),
        ({"logit_bias": [[1, None]]}, "logit_bias.0", "invalid_type"),
        ({"logit_bias": [[1.0, 1]]}, "logit_bias.0", "invalid_type"),
        ({"logit_bias": [[1]]}, "logit_bias.0", "invalid_type"),
        ({"logit_bias": [1, 2]}, "logit_bias.0", "invalid_type"),
        ({"logit_bias": [[1, 1]] * 1025}, "logit_bias", "invalid_value"),
        ({"logit_bias": "x"}, "logit_bias", "invalid_type"),
        ({"samplers": 1}, "samplers", "invalid_type"),
        ({"samplers": "kz"}, "samplers", "invalid_value"),
        ({"samplers": "k" * 33}, "samplers", "invalid_value"),
        ({"samplers": ["top_k", "infill"]}, "samplers.1", "invalid_value"),
        ({"samplers": ["top_k", 1]}, "samplers.1", "invalid_value"),
        ({"samplers": ["top_k"] * 33}, "samplers", "invalid_value"),
        ({"dry_sequence_breakers": "x"}, "dry_sequence_breakers", "invalid_type"),
        ({"dry_sequence_breakers": [""]}, "dry_sequence_breakers.0", "invalid_value"),
        ({"dry_sequence_breakers": ["a", 1]}, "dry_sequence_breakers.1", "invalid_type"),
        ({"dry_sequence_breakers": ["é" * 21]}, "dry_sequence_breakers.0", "invalid_value"),
        ({"dry_sequence_breakers": ["a\0"]}, "dry_sequence_breakers.0", "invalid_value"),
        ({"dry_sequence_breakers": ["a"] * 17}, "dry_sequence_breakers", "invalid_value"),
        (
            {"repeat_penalty": 1.1, "repetition_penalty": 1.2},
            "repetition_penalty",
            "invalid_value",
        ),
        ({"logprobs": 1}, "logprobs", "invalid_type"),
        ({"top_logprobs": 1}, "top_logprobs", "invalid_value"),
        ({"top_logprobs": 1, "logprobs": False}, "top_logprobs", "invalid_value"),
        ({"top_logprobs": 21, "logprobs": True}, "top_logprobs", "invalid_value"),
        ({"stream": "yes"}, "stream", "invalid_type"),
        ({"stream": 1}, "stream", "invalid_type"),
        ({"stream_options": {}}, "stream_options", "invalid_value"),
        (
            {"stream": True, "stream_options": {"include_usage": 1}},
            "stream_options.include_usage",
            "invalid_type",
        ),
        ({"max_completion_tokens": -2}, "max_completion_tokens", "invalid_value"),
        ({"n_predict": -2}, "n_predict", "invalid_value"),
        ({"user": 5}, "user", "invalid_type"),
        ({"truncation": "shift"}, "truncation", "invalid_value"),
        ({"continue_final_message": 1}, "continue_final_message", "invalid_type"),
        ({"continue_final_message": True}, "continue_final_message", "invalid_value"),
        (
            {"continue_final_message": True, "messages": [BEGUN]},
            "continue_final_message",
            "invalid_value",
        ),
        (
            {
                "continue_final_message": True,
                "add_generation_prompt": True,
                "messages": [USER, BEGUN],
            },
            "add_generation_prompt",
            "invalid_value",
        ),
        ({"store": "yes"}, "store", "invalid_type"),
        ({"service_tier": "g" * 65}, "service_tier", "invalid_value"),
        ({"metadata": []}, "metadata", "invalid_type"),
        ({"metadata": {"a": 1}}, "metadata.a", "invalid_type"),
        ({"metadata": {str(i): "" for i in range(17)}}, "metadata", "invalid_value"),
        ({"prediction": {"type": "content", "content": 1}}, "prediction.content", "invalid_type"),
        ({"prediction": {"type": "guess"}}, "prediction.type", "invalid_value"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_chat_refuses(fields, param, code):
    message, *where = chat_problem(**fields)
    assert where == [param, code]
    assert message.startswith(param)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("modalities", ["text", "audio"]),
        ("stop_regex", ["a"]),
        ("best_of", 2),
    ],
)
def test_what_is_not_built_is_refused_by_name(name, value):
    message, param, code = chat_problem(**{name: value})
    assert (param, code) == (name, "unsupported_parameter")
    assert message == f"{name} is not supported by this server"


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [], "tool_choice": "none", "functions": None, "function_call": "none"},
        {"response_format": {"type": "text"}, "modalities": ["text"], "grammar": ""},
        {"mirostat": 0, "mirostat_tau": 5.0, "dry_multiplier": 0.0, "dry_base": 1.75},
        {"xtc_probability": 0, "xtc_threshold": 0.1, "repetition_penalty": 1.0, "tfs_z": 1},
        {"stop_token_ids": [], "min_tokens": 0, "n_predict": -1, "logit_bias": []},
        {"user": "u", "metadata": {"a": "1"}, "store": True, "service_tier": "auto"},
        {"safety_identifier": "s", "prompt_cache_key": "k", "parallel_tool_calls": False},
        {"prediction": {"type": "content", "content": [{"type": "text", "text": "a"}]}},
        {"unheard_of": 1},
        {"stop": None, "logit_bias": None, "stream": None, "stream_options": None},
        {"messages": [{"role": "assistant", "content": None, "refusal": "no"}]},
        {"messages": [{"role": "assistant", "content": None, "reasoning_content": "hm"}]},
        {"messages": [{"role": "assistant", "content": None, "tool_calls": []}]},
        {
            "messages": [
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {
                            "id": "c",
                            "type": "function",
                            "function": {"name": "f", "arguments": "{}"},
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "c", "content": "1"},
            ]
        },
    ],
)
def test_chat_accepts(fields):
    assert ChatRequest.model_validate({"messages": [USER], **fields})


def test_parts_are_texts_of_their_own():
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    body = ChatRequest.model_validate({"messages": [{"role": "user", "content": parts}]})
    assert body.messages[0].text == "one\ntwo"


def test_agents_may_offer_many_tools():
    tools = [{"type": "function", "function": {"name": f"tool_{i}"}} for i in range(512)]
    assert ChatRequest.model_validate({"messages": [USER], "tools": tools})
    _, param, code = chat_problem(tools=[*tools, tools[0]])
    assert (param, code) == ("tools", "invalid_value")
