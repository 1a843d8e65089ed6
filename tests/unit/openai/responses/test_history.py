"""Items of a conversation as messages of the template."""

from __future__ import annotations

from typing import Any

import pytest

from pyserve.errors import InvalidRequestError
from pyserve.openai.responses.history import check_references, response_messages, skipped_items
from pyserve.openai.responses.opaque import opened, sealed
from pyserve.schemas.responses import ResponseRequest

USER = {"role": "user", "content": "hi"}


def messages(*items: Any, **fields: Any) -> list[dict[str, Any]]:
    body = ResponseRequest.model_validate({"input": list(items), **fields})
    return response_messages(body)


@pytest.mark.parametrize(
    ("item", "name", "arguments"),
    [
        ({"type": "function_call", "name": "f", "arguments": "{}"}, "f", "{}"),
        (
            {"type": "function_call", "name": "f", "namespace": "crm", "arguments": "{}"},
            "crm__f",
            "{}",
        ),
        (
            {"type": "custom_tool_call", "name": "c", "input": 'a "b"'},
            "c",
            '{"input": "a \\"b\\""}',
        ),
        (
            {"type": "local_shell_call", "action": {"type": "exec", "command": ["ls"]}},
            "local_shell",
            '{"type": "exec", "command": ["ls"]}',
        ),
        (
            {"type": "apply_patch_call", "operation": {"type": "delete_file", "path": "a"}},
            "apply_patch",
            '{"type": "delete_file", "path": "a"}',
        ),
    ],
)
def test_calls_become_calls_of_functions(item, name, arguments):
    _, turn = messages(USER, {"call_id": "k", **item})
    (call,) = turn["tool_calls"]
    assert call["id"] == "k"
    assert call["function"] == {"name": name, "arguments": arguments}


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ({"type": "function_call_output", "output": "x"}, "x"),
        (
            {
                "type": "custom_tool_call_output",
                "output": [{"type": "input_text", "text": part} for part in "xy"],
            },
            "x\ny",
        ),
        ({"type": "local_shell_call_output", "output": "x"}, "x"),
        ({"type": "shell_call_output", "output": [{"stdout": "x"}]}, '[{"stdout": "x"}]'),
        ({"type": "apply_patch_call_output", "status": "completed"}, '"completed"'),
    ],
)
def test_outputs_become_results(item, text):
    (turn,) = messages({"call_id": "k", **item})
    assert turn == {"role": "tool", "content": text, "tool_call_id": "k"}


def test_an_output_without_an_id_is_of_the_last_call_of_its_name():
    call = {"type": "function_call", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": None, "name": "f", "output": "x"}
    *_, turn = messages({**call, "call_id": "a"}, {**call, "call_id": "b"}, output)
    assert (turn["tool_call_id"], turn["name"]) == ("b", "f")


def test_thoughts_come_back_in_any_form():
    answer = {"role": "assistant", "content": "a"}
    for fields in (
        {"content": [{"type": "reasoning_text", "text": "Hm"}]},
        {"summary": [{"type": "summary_text", "text": "Hm"}]},
        {"encrypted_content": sealed("reasoning", "Hm"), "summary": []},
        {"encrypted_content": "gAAAA", "summary": [{"type": "summary_text", "text": "Hm"}]},
    ):
        (turn,) = messages({"type": "reasoning", **fields}, answer)
        assert turn["reasoning_content"] == "Hm"


@pytest.mark.parametrize(
    "content", ["", "gAAAA", "pyserve1.reasoning.!", "pyserve1.reasoning._w==", "pyserve2.x.SG0="]
)
def test_what_others_have_encrypted_is_not_read(content):
    assert not opened("reasoning", content)


def test_what_is_left_out_is_counted():
    items = [
        USER,
        {"type": "web_search_call", "id": "1"},
        {"type": "mcp_list_tools", "text": "no part of it"},
        {"type": "web_search_call", "id": "2"},
        {"type": "reasoning", "encrypted_content": "gAAAA", "summary": []},
    ]
    body = ResponseRequest.model_validate({"input": items})
    assert skipped_items(body) == [
        "web_search_call",
        "mcp_list_tools",
        "web_search_call",
        "reasoning",
    ]
    assert response_messages(body) == [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize("instructions", [None, "be kind"])
def test_a_probe_without_items_has_an_empty_turn(instructions):
    *_, turn = messages(instructions=instructions)
    assert turn == {"role": "user", "content": ""}


@pytest.mark.parametrize("kind", ["input_text", "web_search_call", "reasoning"])
def test_items_that_are_all_left_out_are_refused(kind):
    with pytest.raises(InvalidRequestError, match="no item that the model reads") as caught:
        messages({"type": kind, "id": "x", "text": "hi", "summary": []})
    assert caught.value.param == "input"
    turn = {"role": "system", "content": "go on"}
    assert messages({"type": kind, "id": "x", "summary": []}, instructions="go on") == [turn]


def test_a_reference_to_what_is_not_stored_is_refused_with_its_place():
    body = ResponseRequest.model_validate({"input": [USER, {"id": "msg_1"}]})
    with pytest.raises(InvalidRequestError) as caught:
        check_references(body)
    assert (caught.value.code, caught.value.param) == ("not_found", "input.1")
