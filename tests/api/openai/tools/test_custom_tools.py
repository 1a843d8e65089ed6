"""Custom tools of chats: called with a text, held to a grammar, sent back."""

from __future__ import annotations

import json

import pytest

from pyserve.engine.fake.script import FakeScript
from tests.support.front import CHAT, chat_body, error_of

GRAMMAR = {"syntax": "lark", "definition": 'start: "*** " /[^\\n]+/ LF\n%import common.LF'}
TOOL = {
    "type": "custom",
    "custom": {
        "name": "apply_patch",
        "description": "Edit files.",
        "format": {"type": "grammar", "grammar": GRAMMAR},
    },
}
CALL = '<tool_call>\n{"name": "apply_patch", "arguments": {"input": "*** é\\n"}}\n</tool_call>'


def test_a_custom_tool_is_called_with_a_text(start):
    front = start(FakeScript(texts=(CALL,)))
    body = chat_body(tools=[TOOL])
    choice = front.post(CHAT, body).get_json()["choices"][0]
    (call,) = choice["message"]["tool_calls"]
    assert choice["finish_reason"] == "tool_calls"
    assert (call["type"], call["custom"]) == ("custom", {"name": "apply_patch", "input": "*** é\n"})
    assert "function" not in call
    assert "([\\U0000002A]) ([\\U0000002A])" in front.core.requests[-1].grammar
    text = front.post(CHAT, {**body, "stream": True}).text
    chunks = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    deltas = [
        call
        for chunk in chunks
        for choice in chunk["choices"]
        for call in choice["delta"].get("tool_calls", [])
    ]
    assert (deltas[0]["type"], deltas[0]["custom"]["name"]) == ("custom", "apply_patch")
    assert "".join(call["custom"]["input"] for call in deltas) == "*** é\n"


def test_an_earlier_call_is_a_part_of_the_prompt(front):
    call = {"id": "c", "type": "custom", "custom": {"name": "apply_patch", "input": 'a"\n'}}
    messages = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "done"},
    ]
    response = front.post(CHAT, chat_body(messages=messages, tools=[TOOL]))
    assert response.status_code == 200, response.text
    assert "apply_patch" in json.dumps(front.core.requests[-1].messages)


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "custom", "custom": {"name": "apply_patch"}},
        {"type": "custom", "name": "apply_patch"},
    ],
)
def test_a_custom_tool_can_be_chosen(start, choice):
    front = start(FakeScript(texts=(CALL,)))
    response = front.post(CHAT, chat_body(tools=[TOOL], tool_choice=choice))
    assert response.get_json()["choices"][0]["message"]["tool_calls"][0]["type"] == "custom"


@pytest.mark.parametrize(
    ("syntax", "definition", "place"),
    [("lark", 'start: "a"\n\n  | b', "line 3, column 5"), ("regex", "a(?<=b)", "line 1, column 5")],
)
def test_a_grammar_that_is_wrong_is_refused_by_line_and_column(front, syntax, definition, place):
    form = {"type": "grammar", "grammar": {"syntax": syntax, "definition": definition}}
    tool = {"type": "custom", "custom": {"name": "t", "format": form}}
    error = error_of(front.post(CHAT, chat_body(tools=[tool])))
    assert place in error["message"]
    assert error["param"] == "tools.0.custom.format.grammar.definition"


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        ({"type": "custom"}, "tools.0.custom"),
        ({"type": "custom", "custom": {"name": "a b"}}, "tools.0.custom.name"),
        (
            {"type": "custom", "custom": {"name": "a", "format": {"type": "grammar"}}},
            "tools.0.custom.format",
        ),
        ({"type": "web_search"}, "tools.0"),
    ],
)
def test_tools_that_are_none_are_refused(front, tool, param):
    assert error_of(front.post(CHAT, chat_body(tools=[tool])))["param"] == param
