from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pyserve.openai.tools.formats import TAGGED, AnswerFormat
from pyserve.openai.tools.known_formats import HARMONY, call_format, unshown_format
from pyserve.openai.tools.prompt import with_history

PLAIN = AnswerFormat(name="x", origin="derived", calls=TAGGED)


def call(name: str, call_id: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": "{}"}}


USER = {"role": "user", "content": "?"}
ASKED = {
    "role": "assistant",
    "content": "",
    "reasoning_content": "Hm.",
    "tool_calls": [call("f", "1"), call("g", "2")],
}
RESULTS = [
    {"role": "tool", "tool_call_id": "1", "content": "one"},
    {"role": "tool", "tool_call_id": "2", "content": "two"},
]


def test_a_template_that_takes_all_gets_messages_as_they_are():
    messages = [USER, ASKED, *RESULTS]
    assert with_history(messages, PLAIN) == messages


@pytest.mark.parametrize(
    ("came", "shown"),
    [
        ("ba", "ab"),
        ("cab", "abc"),
        ("ca", "ac"),  # one is still missing
        ("bx", "bx"),  # nobody knows whose that is
        ("bab", "bab"),
        ("b-a", "abC"),  # one without an id is of the call that is left
        ("b?a", "b?a"),  # after another message it is of no call before that
    ],
)
def test_results_stand_in_the_order_of_their_calls(came, shown):
    asked = {"role": "assistant", "content": "", "tool_calls": [call("f", each) for each in "abc"]}

    def results(ids: str) -> list[dict[str, Any]]:
        made = {each: {"role": "tool", "tool_call_id": each, "content": each} for each in "abcx"}
        made["C"] = {**made["c"], "content": "-"}
        return [
            made.get(each, {"role": "tool", "content": "-"}) if each != "?" else USER
            for each in ids
        ]

    before = [USER, asked, *results(came), ASKED, *RESULTS[::-1]]
    assert with_history(before, PLAIN) == [USER, asked, *results(shown), ASKED, *RESULTS]


def test_a_template_of_one_call_gets_each_call_with_its_result():
    said = {"role": "assistant", "content": "Done."}
    assert with_history([USER, ASKED, *RESULTS, said], HARMONY) == [
        USER,
        {"role": "assistant", "content": "", "thinking": "Hm.", "tool_calls": [call("f", "1")]},
        RESULTS[0],
        {"role": "assistant", "content": "", "tool_calls": [call("g", "2")]},
        RESULTS[1],
        said,
    ]


def test_ids_of_names_are_those_of_the_calls():
    named = msgspec.structs.replace(TAGGED, has_named_ids=True)
    form = msgspec.structs.replace(PLAIN, calls=named)
    _, asked, first, second = with_history([USER, ASKED, *RESULTS], form)
    assert [one["id"] for one in asked["tool_calls"]] == ["functions.f:0", "functions.g:1"]
    assert (first["tool_call_id"], second["tool_call_id"]) == ("functions.f:0", "functions.g:1")


def test_text_beside_thoughts_and_a_call_is_a_thought_for_such_a_template():
    told = {**ASKED, "content": "I look.", "tool_calls": [call("f", "1")]}
    _, asked = with_history([USER, told], HARMONY)
    assert (asked["thinking"], asked["content"]) == ("Hm.\n\nI look.", "")


def test_calls_that_a_template_would_drop_are_text():
    function = {"name": "f", "arguments": '{"city": "Oslo", "all": true}'}
    told = {"role": "assistant", "content": "So", "tool_calls": [{"id": "1", "function": function}]}
    for source, text in (
        ("tools List of tools: <|im_start|>", "[f(city='Oslo', all=True)]<|tool_call_end|>"),
        ("tools <|tool_call|>", f'[{{"name": "f", "arguments": {function["arguments"]}}}]'),
    ):
        calls = unshown_format(source) or call_format(source)
        form = msgspec.structs.replace(PLAIN, calls=calls)
        assert with_history([told], form) == [
            {"role": "assistant", "content": f"So{calls.trigger}{text}"}
        ]
