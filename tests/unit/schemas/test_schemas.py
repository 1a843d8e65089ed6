from __future__ import annotations

import math
from typing import Any

import pytest

from pyserve.engine.protocol import SamplingParams
from pyserve.errors import InvalidRequestError
from pyserve.schemas.chat import ChatRequest
from pyserve.schemas.common import MAX_TEXT_BYTES, RequestModel
from pyserve.schemas.completions import CompletionRequest
from pyserve.schemas.edits import EditRequest
from pyserve.schemas.validate import validate

USER = {"role": "user", "content": "hi"}
BEGUN = {"role": "assistant", "content": "Well,"}


def problem(schema: type[RequestModel], fields: dict[str, Any]) -> tuple[str, str | None, str]:
    with pytest.raises(InvalidRequestError) as caught:
        validate(schema, fields)
    return caught.value.message, caught.value.param, caught.value.code


def chat_problem(**fields: Any) -> tuple[str, str | None, str]:
    return problem(ChatRequest, {"messages": [USER], **fields})


def completion_problem(**fields: Any) -> tuple[str, str | None, str]:
    return problem(CompletionRequest, fields)


SCORED = {"echo": True, "logprobs": 1, "max_tokens": 0}
RANGES = {
    "temperature": (0, 2, -0.001, 2.001),
    "top_p": (0.0001, 1, 0, 1.001),
    "top_k": (-1, 2**31 - 1, -2, 2**31),
    "min_p": (0, 1, -0.001, 1.001),
    "typical_p": (0.0001, 1, 0, 1.001),
    "frequency_penalty": (-2, 2, -2.001, 2.001),
    "presence_penalty": (-2, 2, -2.001, 2.001),
    "repeat_penalty": (0.0001, 10, 0.00009, 10.001),
    "repetition_penalty": (0.0001, 10, 0.00009, 10.001),
    "dynatemp_range": (0, 100, -0.001, 100.001),
    "dynatemp_exponent": (0, 100, -0.001, 100.001),
    "top_n_sigma": (-1, 100, -1.001, 100.001),
    "min_keep": (0, 2**31 - 1, -1, 2**31),
    "xtc_probability": (0, 1, -0.001, 1.001),
    "xtc_threshold": (0, 1, -0.001, 1.001),
    "dry_multiplier": (0, 100, -0.001, 100.001),
    "dry_base": (1, 100, 0.999, 100.001),
    "dry_allowed_length": (0, 2**31 - 1, -1, 2**31),
    "dry_penalty_last_n": (-1, 2**31 - 1, -2, 2**31),
    "mirostat": (0, 2, -1, 3),
    "mirostat_tau": (0, 100, -0.001, 100.001),
    "mirostat_eta": (0, 1, -0.001, 1.001),
    "adaptive_target": (-1, 1, -1.001, 1.001),
    "adaptive_decay": (0, 0.99, -0.001, 0.991),
    "repeat_last_n": (-1, 65536, -2, 65537),
    "n": (1, 16, 0, 17),
    "seed": (-(2**63), 2**63 - 1, -(2**63) - 1, 2**63),
    "max_tokens": (1, 2**31 - 1, 0, 2**31),
    "priority": (-100, 100, -101, 101),
}
INTEGERS = (
    "top_k",
    "repeat_last_n",
    "min_keep",
    "dry_allowed_length",
    "dry_penalty_last_n",
    "mirostat",
    "n",
    "seed",
    "max_tokens",
    "priority",
)


@pytest.mark.parametrize("name", RANGES)
def test_a_range_ends_where_it_says(name):
    lowest, highest, below, above = RANGES[name]
    for value in (lowest, highest, None):
        body = ChatRequest.model_validate({"messages": [USER], name: value})
        assert getattr(body, name) == value
    for value in (below, above):
        assert chat_problem(**{name: value})[1:] == (name, "invalid_value")


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("value", [True, "1", [1], {}])
def test_a_number_must_be_a_number(name, value):
    assert chat_problem(**{name: value})[1:] == (name, "invalid_type")


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("value", [1.0, 1.5, 1e30])
def test_an_integer_must_be_written_as_one(name, value):
    assert chat_problem(**{name: value})[1:] == (name, "invalid_type")


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"messages": None}, "messages", "invalid_type"),
        ({"cache_salt": 1}, "cache_salt", "invalid_type"),
        ({"speculative.n_max": -1}, "speculative.n_max", "invalid_value"),
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
            {"messages": [{"role": "assistant", "content": None}]},
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
        ({"stop": ["a"] * 17}, "stop", "invalid_value"),
        ({"stop": "a" * 257}, "stop", "invalid_value"),
        ({"stop": "a\0"}, "stop", "invalid_value"),
        ({"logit_bias": {"abc": 1}}, "logit_bias", "invalid_value"),
        ({"logit_bias": {"-1": 1}}, "logit_bias", "invalid_value"),
        ({"logit_bias": {"9999999999": 1}}, "logit_bias", "invalid_value"),
        ({"logit_bias": {"5": 101}}, "logit_bias.5", "invalid_value"),
        ({"logit_bias": {str(i): 1 for i in range(1025)}}, "logit_bias", "invalid_value"),
        ({"logit_bias": {"5": True}}, "logit_bias.5", "invalid_type"),
        ({"logit_bias": {"5": "1"}}, "logit_bias.5", "invalid_type"),
        ({"logit_bias": [[5, 101]]}, "logit_bias.5", "invalid_value"),
        ({"logit_bias": [[5, 60], [5, 41]]}, "logit_bias.5", "invalid_value"),
        ({"logit_bias": [[0, 1], [-1, 1]]}, "logit_bias.1", "invalid_value"),
        ({"logit_bias": [[0, 1], ["x", 1]]}, "logit_bias.1", "unsupported_parameter"),
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
        ({"max_completion_tokens": 0}, "max_completion_tokens", "invalid_value"),
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
        ({"add_generation_prompt": False}, "add_generation_prompt", "unsupported_parameter"),
        ({"store": "yes"}, "store", "invalid_type"),
        ({"service_tier": "gold"}, "service_tier", "invalid_value"),
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
        ("chat_template", "{{ x }}"),
        ("stop_token_ids", [2]),
        ("min_tokens", 5),
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


@pytest.mark.parametrize(
    ("given", "biases"),
    [
        ({}, {}),
        ([], {}),
        ({"5": 1, "7": False}, {5: 1, 7: -math.inf}),
        ([[5, 1], [7, False], [5, -2.5]], {5: -1.5, 7: -math.inf}),
        ([[5, False], [5, 100]], {5: -math.inf}),
    ],
)
def test_biases_come_as_an_object_or_as_pairs(given, biases):
    assert (
        ChatRequest.model_validate({"messages": [USER], "logit_bias": given}).logit_bias == biases
    )


@pytest.mark.parametrize(
    ("given", "letters"),
    [
        ([], ""),
        ("", ""),
        ("kpt", "kpt"),
        (["top_k", "Top-P", "minp", "TEMP", "nucleus"], "kpmtp"),
        (
            [
                "penalties",
                "dry",
                "top_n_sigma",
                "top_k",
                "typ_p",
                "top_p",
                "min_p",
                "xtc",
                "temperature",
                "adaptive_p",
            ],
            SamplingParams().samplers,
        ),
    ],
)
def test_samplers_come_as_names_or_letters(given, letters):
    assert ChatRequest.model_validate({"messages": [USER], "samplers": given}).samplers == letters


def test_parts_follow_each_other_without_a_separator():
    parts = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
    body = ChatRequest.model_validate({"messages": [{"role": "user", "content": parts}]})
    assert body.messages[0].text == "one two"


@pytest.mark.parametrize(
    ("prompt", "prompts"),
    [
        (None, [""]),
        ("", [""]),
        ("a", ["a"]),
        (["a", ""], ["a", ""]),
        ([1, 0], [[1, 0]]),
        ([[1], [2, 3]], [[1], [2, 3]]),
    ],
)
def test_a_prompt_may_be_one_or_many_of_text_or_tokens(prompt, prompts):
    assert CompletionRequest.model_validate({"prompt": prompt}).prompts == prompts


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"prompt": []}, "prompt", "invalid_value"),
        ({"prompt": [[]]}, "prompt.0", "invalid_value"),
        ({"prompt": [[-1]]}, "prompt.0.0", "invalid_value"),
        ({"prompt": [[2**31]]}, "prompt.0.0", "invalid_value"),
        ({"prompt": ["a", 1]}, "prompt.1", "invalid_type"),
        ({"prompt": [1, "a"]}, "prompt.1", "invalid_type"),
        ({"prompt": [True]}, "prompt.0", "invalid_type"),
        ({"prompt": {"a": 1}}, "prompt", "invalid_type"),
        ({"prompt": ["a"] * 65}, "prompt", "invalid_value"),
        ({"prompt": ["a"] * 64, "n": 2}, "n", "invalid_value"),
        ({"prompt": ["é" * 2**19] * 3}, "prompt", "invalid_value"),
        ({"logprobs": 6}, "logprobs", "invalid_value"),
        ({"logprobs": True}, "logprobs", "invalid_type"),
        ({"max_tokens": -1}, "max_tokens", "invalid_value"),
        ({"best_of": 1, "n": 2}, "best_of", "invalid_value"),
        ({"best_of": 0}, "best_of", "invalid_value"),
        ({"best_of": 21}, "best_of", "invalid_value"),
        ({"best_of": 3, "n": 2, "stream": True}, "best_of", "invalid_value"),
        ({"best_of": 13, "prompt": ["a"] * 5}, "best_of", "invalid_value"),
        ({"echo": 0}, "echo", "invalid_type"),
        ({"prompt": [[1] * 2**17] * 2 + [[1]], **SCORED}, "prompt", "invalid_value"),
        ({"prompt": [[1] * 2**17], "best_of": 3, **SCORED}, "prompt", "invalid_value"),
        ({"prompt": "x" * 2**20 + "x", **SCORED}, "prompt", "invalid_value"),
        ({"suffix": 5}, "suffix", "invalid_type"),
        ({"suffix": "x", "echo": True}, "suffix", "invalid_value"),
        ({"suffix": "é" * 2**19, "prompt": ["a"] * 3}, "suffix", "invalid_value"),
        ({"messages": [USER]}, "messages", "unsupported_parameter"),
        ({"max_completion_tokens": 5}, "max_completion_tokens", "unsupported_parameter"),
        ({"prediction": "text"}, "prediction", "invalid_type"),
        (
            {"prediction": {"type": "content", "content": "x" * 2**21 + "x"}},
            "prediction",
            "invalid_value",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_completions_refuse(fields, param, code):
    assert completion_problem(**fields)[1:] == (param, code)


def test_messages_carry_the_numbers_but_no_text():
    assert "but is 3.5" in chat_problem(temperature=3.5)[0]
    assert "but is true" in chat_problem(n=True)[0]
    message = chat_problem(stop="secret" * 60)[0]
    assert "360" in message
    assert "secret" not in message


@pytest.mark.parametrize(
    ("fields", "inputs"),
    [
        ({}, [""]),
        ({"input": None}, [""]),
        ({"input": "a"}, ["a"]),
        ({"input": ["a", "b"]}, ["a", "b"]),
    ],
)
def test_edit_inputs(fields, inputs):
    assert EditRequest.model_validate({"instruction": "fix", **fields}).inputs == inputs


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "instruction"),
        ({"instruction": ""}, "instruction"),
        ({"instruction": "x", "input": 5}, "input"),
        ({"instruction": "x", "stream": True}, "stream"),
        ({"instruction": "x", "best_of": 2}, "best_of"),
        ({"instruction": "x", "logprobs": 1}, "logprobs"),
        ({"instruction": "x", "prompt": "x"}, "prompt"),
        ({"instruction": "x" * 2**20, "input": ["", "", ""]}, "input"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_edits_refuse(fields, param):
    assert problem(EditRequest, fields)[1] == param
