"""Arguments and ids of earlier calls, made whole."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pyserve.openai.tools.formats import Refusals
from pyserve.openai.tools.history import arranged

WRAPPED = object()


def called(*calls: tuple[str | None, str]) -> dict[str, Any]:
    made = [
        {"type": "function", "function": {"name": "f", "arguments": arguments}}
        | ({} if call_id is None else {"id": call_id})
        for call_id, arguments in calls
    ]
    return {"role": "assistant", "content": "", "tool_calls": made}


def result(call_id: str | None) -> dict[str, Any]:
    given = {} if call_id is None else {"tool_call_id": call_id}
    return {"role": "tool", "content": "r", **given}


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ('{"a":1,\n"b": "\\u00e9"}', '{"a": 1, "b": "é"}'),
        (" ", "{}"),
        ("null", "{}"),
        ('{"a": 1', WRAPPED),
        ("[1]", WRAPPED),
        ('"text"', WRAPPED),
        ('{"a": NaN}', WRAPPED),
        ('{"a": 1e999}', WRAPPED),
        ('{"a": "\\ud83d"}', WRAPPED),
        ('{"a": ' * 2000, WRAPPED),
        ('{"a": ' + "[" * 20000 + "]" * 20000 + "}", WRAPPED),
    ],
)
def test_arguments_are_objects(written: str, shown: Any) -> None:
    (message,) = arranged([called(("1", written))], Refusals())
    arguments = message["tool_calls"][0]["function"]["arguments"]
    if shown is WRAPPED:
        assert json.loads(arguments) == {"arguments": written}
    else:
        assert arguments == shown


@pytest.mark.parametrize(
    ("ids", "given", "shown", "answered"),
    [
        (["a", "b"], ["b", "a"], ["a", "b"], ["b", "a"]),
        ([None, "b"], ["x", "b"], ["x", "b"], ["x", "b"]),
        ([None, None], [None, None], ["call0", "call1"], ["call0", "call1"]),
        (["a", "a"], ["a", "a"], ["call0", "call1"], ["call0", "call1"]),
        (["a", "b"], [None, "a"], ["a", "b"], ["b", "a"]),
        (["a"], ["x"], ["a"], ["x"]),  # nobody knows whose that is
        ([None, "b"], [], ["call0", "b"], []),
        (["a"], [None, None], ["a"], ["a", None]),
    ],
)
def test_results_have_the_ids_of_their_calls(ids: Any, given: Any, shown: Any, answered: Any):
    messages = [called(*((one, "{}") for one in ids)), *map(result, given)]
    asked, *results = arranged(messages, Refusals())
    assert [call["id"] for call in asked["tool_calls"]] == shown
    assert [one.get("tool_call_id") for one in results] == answered
