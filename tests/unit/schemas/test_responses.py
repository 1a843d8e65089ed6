from __future__ import annotations

from typing import Any

import pytest

from pyserve.errors import InvalidRequestError
from pyserve.schemas.common import MAX_TEXT_BYTES
from pyserve.schemas.responses import INCLUDES, LOGPROBS, ResponseRequest
from pyserve.schemas.validate import validate

TOOL = {"type": "function", "name": "f"}
USER = {"role": "user", "content": "hi"}


def problem(fields: dict[str, Any]) -> tuple[str | None, str]:
    with pytest.raises(InvalidRequestError) as caught:
        validate(ResponseRequest, fields)
    return caught.value.param, caught.value.code


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": []},
        {"tool_choice": "auto"},
        {"tool_choice": "none", "parallel_tool_calls": False, "max_tool_calls": 1},
        {"reasoning": None},
        {"reasoning": {}},
        {"reasoning": {"effort": None, "summary": None}},
        {"reasoning": {"effort": "none"}},
        {"text": {"format": {"type": "text"}, "verbosity": "medium"}},
        {"text": {"format": {"type": "json_object"}}},
        {"text": {}},
        {"truncation": "disabled"},
        {"truncation": "auto"},
        {"store": True},
        {"background": False},
        {"previous_response_id": None, "conversation": None, "prompt": None},
        {"metadata": {"k" * 64: "v" * 512}},
        {"include": list(INCLUDES)},
        {"stream": True, "stream_options": {"include_obfuscation": True}},
        {"text": {"verbosity": "high"}},
        {"input": [{**USER, "id": "msg_1", "status": "completed", "type": "message"}]},
        {"input": [{"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}]},
        {"max_output_tokens": 1},
        {"input": []},
        {"input": ""},
        {"tools": [{"type": "web_search", "filters": None}, {"type": "anything"}]},
        {"tools": [{"type": "custom", "name": "c", "format": {"type": "text"}}]},
        {"tools": [{"type": "namespace", "name": "n", "description": "d", "tools": [TOOL]}]},
        {"input": [{"type": "additional_tools", "role": "developer", "tools": [TOOL]}]},
        {"input": [{"type": "web_search_call", "id": "ws_1", "action": {"query": "q"}}]},
        {"input": [{"type": "reasoning", "summary": [], "encrypted_content": "x"}]},
        {"input": [{"type": "function_call_output", "name": "f", "output": "x"}]},
    ],
)
def test_what_asks_for_nothing_more_is_accepted(fields):
    validate(ResponseRequest, {"input": "hi", **fields})


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"input": None}, "input", "missing_required_parameter"),
        ({"input": 5}, "input", "invalid_type"),
        ({"input": [USER] * 2049}, "input", "invalid_value"),
        ({"input": [1]}, "input.0", "invalid_type"),
        ({"input": [{"content": "x"}]}, "input.0.role", "missing_required_parameter"),
        ({"input": [{"role": "user"}]}, "input.0.content", "missing_required_parameter"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input.0.role", "invalid_value"),
        (
            {"input": [{"role": "user", "content": None}]},
            "input.0.content",
            "missing_required_parameter",
        ),
        ({"input": [{"role": "user", "content": []}]}, "input.0.content", "invalid_value"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
            "input.0.content.0",
            "unsupported_content",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_text", "text": 1}]}]},
            "input.0.content.0.text",
            "invalid_type",
        ),
        (
            {"input": [USER, {"type": "function_call"}]},
            "input.1.call_id",
            "missing_required_parameter",
        ),
        (
            {"input": [{"type": "function_call_output", "output": "x"}]},
            "input.0",
            "missing_required_parameter",
        ),
        ({"input": [{"type": 5}]}, "input.0", "invalid_type"),
        ({"input": [{"type": "item_reference"}]}, "input.0.id", "missing_required_parameter"),
        (
            {"input": [{"type": "function_call_output", "call_id": "a"}]},
            "input.0.output",
            "missing_required_parameter",
        ),
        ({"input": "x" * (MAX_TEXT_BYTES + 1)}, "input", "invalid_value"),
        ({"instructions": 1}, "instructions", "invalid_type"),
        ({"instructions": "x" * MAX_TEXT_BYTES}, "input", "invalid_value"),
        ({"max_output_tokens": -2}, "max_output_tokens", "invalid_value"),
        ({"max_tokens": 5}, "max_tokens", "unsupported_parameter"),
        ({"n": 2}, "n", "unsupported_parameter"),
        ({"temperature": 2.5}, "temperature", "invalid_value"),
        ({"previous_response_id": 5}, "previous_response_id", "invalid_type"),
        ({"previous_response_id": "r", "conversation": "c"}, "conversation", "invalid_value"),
        ({"conversation": {}}, "conversation.id", "missing_required_parameter"),
        ({"conversation": 5}, "conversation", "invalid_type"),
        ({"prompt": {"id": "p"}}, "prompt", "unsupported_parameter"),
        ({"background": "yes"}, "background", "invalid_type"),
        ({"truncation": "some"}, "truncation", "invalid_value"),
        ({"tools": [{"type": "function"}]}, "tools.0.name", "missing_required_parameter"),
        ({"tools": [{"type": 1}]}, "tools.0", "invalid_type"),
        ({"tools": [{"name": "f"}]}, "tools.0", "invalid_type"),
        ({"tools": [{"type": "custom"}]}, "tools.0.name", "missing_required_parameter"),
        (
            {"tools": [{"type": "custom", "name": "c", "format": {"type": "grammar"}}]},
            "tools.0.format",
            "missing_required_parameter",
        ),
        (
            {"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "namespace"}]}]},
            "tools.0.tools.0",
            "invalid_type",
        ),
        ({"tool_choice": "any"}, "tool_choice", "invalid_value"),
        ({"tool_choice": {"type": "function"}}, "tool_choice", "missing_required_parameter"),
        ({"text": 1}, "text", "invalid_type"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type", "invalid_value"),
        (
            {"text": {"format": {"type": "json_schema", "schema": {}}}},
            "text.format.name",
            "missing_required_parameter",
        ),
        (
            {"text": {"format": {"type": "json_schema", "name": "x"}}},
            "text.format.schema",
            "missing_required_parameter",
        ),
        (
            {"text": {"format": {"type": "json_object", "schema": {}}}},
            "text.format.schema",
            "invalid_value",
        ),
        ({"response_format": {"type": "json_object"}}, "response_format", "unsupported_parameter"),
        ({"text": {"verbosity": "some"}}, "text.verbosity", "invalid_value"),
        ({"reasoning": {"effort": "some"}}, "reasoning.effort", "invalid_value"),
        ({"reasoning": {"summary": "long"}}, "reasoning.summary", "invalid_value"),
        ({"reasoning": "low"}, "reasoning", "invalid_type"),
        ({"stream_options": {}}, "stream_options", "invalid_value"),
        ({"include": ["nothing"]}, "include", "invalid_value"),
        ({"top_logprobs": 21}, "top_logprobs", "invalid_value"),
        ({"metadata": {"k": 1}}, "metadata.k", "invalid_type"),
        ({"metadata": {str(i): "" for i in range(17)}}, "metadata", "invalid_value"),
        ({"metadata": {"k": "v" * 513}}, "metadata.k", "invalid_value"),
        ({"user": "x" * 513}, "user", "invalid_value"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(fields, param, code):
    assert problem({"input": "hi", **fields}) == (param, code)


def test_input_is_required():
    assert problem({}) == ("input", "missing_required_parameter")


def test_a_refusal_says_what_to_do_instead():
    with pytest.raises(InvalidRequestError, match="no stored prompts: send instructions"):
        validate(ResponseRequest, {"input": "x", "prompt": {"id": "p"}})


@pytest.mark.parametrize(
    ("fields", "n_logprobs"),
    [
        ({}, None),
        ({"top_logprobs": 0}, None),
        ({"top_logprobs": 3}, 3),
        ({"include": [LOGPROBS]}, 0),
        ({"include": [LOGPROBS], "top_logprobs": 2}, 2),
        ({"include": ["reasoning.encrypted_content"]}, None),
    ],
)
def test_logprobs_are_wanted_by_include_or_by_their_number(fields, n_logprobs):
    assert ResponseRequest.model_validate({"input": "x", **fields}).n_logprobs == n_logprobs
