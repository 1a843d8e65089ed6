"""Functions of models whose configuration says how they are shown and called."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pyserve.engine.fake.script import FakeScript
from pyserve.models.profile import CallProfile, ModelProfile, PromptProfile, TemplateSource
from tests.support.front import CHAT, Front, chat_body, events_of

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": CITY}}]
SHOWING = PromptProfile(
    chat=TemplateSource("chat", "no functions: {{.Input}}"),
    function=TemplateSource("function", "{{range .Functions}}F {{.name}} {{end}}{{.Input}}\nJSON:"),
)
TAGGED = PromptProfile(
    chat=TemplateSource("chat", "{{toJson .Functions}} in <tool_call> tags: {{.Input}}")
)
NAMED = r"(?s)<f=(?P<name>\w+)>(?P<arguments>.*?)</f>"


def front_of(
    start: Any, text: str, calls: CallProfile | None = None, prompt: PromptProfile = SHOWING
) -> Front:
    profile = ModelProfile(prompt=prompt, calls=calls or CallProfile())
    front: Front = start(FakeScript(texts=(text,)), profiles={"tiny": profile})
    return front


def answer_of(front: Front, **fields: Any) -> tuple[str | None, list[tuple[str, Any]]]:
    """The text, and the calls."""
    reply = front.post(CHAT, chat_body(**{"tools": TOOLS, **fields}))
    assert reply.status_code == 200, reply.text
    message = reply.get_json()["choices"][0]["message"]
    calls = [call["function"] for call in message.get("tool_calls", [])]
    return message["content"], [(call["name"], json.loads(call["arguments"])) for call in calls]


def prompt_of(front: Front) -> str:
    return "".join(segment.text for segment in front.core.requests[-1].segments)


def test_the_template_of_functions_makes_the_prompt_where_there_are_some(start):
    front = front_of(start, "hi")
    answer_of(front)
    assert prompt_of(front) == "F weather hello big world\nJSON:"
    answer_of(front, tools=None)
    assert prompt_of(front) == "no functions: hello big world"


def test_calls_are_bare_json_unless_the_template_has_tags(start):
    call = '{"name": "weather", "arguments": {"city": "Oslo"}}'
    oslo = ("weather", {"city": "Oslo"})
    assert answer_of(front_of(start, call)) == (None, [oslo])
    tagged = f"Well. <tool_call>{call}</tool_call>"
    assert answer_of(front_of(start, tagged, prompt=TAGGED)) == ("Well.", [oslo])


def test_the_keys_of_a_call_are_configured(start):
    calls = CallProfile(name_key="function", arguments_key="with")
    front = front_of(start, '{"function": "weather", "with": {"city": "Oslo"}}', calls)
    assert answer_of(front) == (None, [("weather", {"city": "Oslo"})])
    assert '\\"function\\"' in front.core.requests[-1].grammar


def test_a_call_begins_with_the_configured_prefix_unless_the_template_has_tags(start):
    call = '{"name": "weather", "arguments": {"city": "Oslo"}}'
    oslo = ("weather", {"city": "Oslo"})
    calls = CallProfile(prefix="FUNC:\n")
    assert answer_of(front_of(start, f"Well. FUNC: {call}", calls)) == ("Well.", [oslo])
    front = front_of(start, f"<tool_call>{call}</tool_call>", calls, TAGGED)
    assert answer_of(front) == (None, [oslo])
    assert "FUNC" not in front.core.requests[-1].grammar


def test_arguments_may_come_before_the_name(start):
    text = '{"arguments": {"city": "Oslo"}, "name": "weather"}'
    front = front_of(start, text, CallProfile(has_arguments_first=True))
    assert answer_of(front) == (None, [("weather", {"city": "Oslo"})])
    grammar = front.core.requests[-1].grammar
    assert grammar.index('\\"arguments\\"') < grammar.index('\\"name\\"')


@pytest.mark.parametrize(
    ("calls", "is_held"),
    [
        (CallProfile(), True),
        (CallProfile(is_free=True), False),
        (CallProfile(call_regex=(NAMED,)), False),
    ],
)
def test_calls_are_held_to_a_grammar_unless_it_is_disabled(start, calls, is_held):
    front = front_of(start, "x", calls)
    answer_of(front)
    assert bool(front.core.requests[-1].grammar) is is_held
    answer_of(front, tool_choice="required")
    assert front.core.requests[-1].grammar


def test_a_model_without_a_way_not_to_call_has_to(start):
    front = front_of(start, '{"name": "weather", "arguments": {"city": "A"}}')
    answer_of(front, tool_choice="required")
    required = front.core.requests[-1].grammar
    front = front_of(start, "{}", CallProfile(must_call=True))
    answer_of(front)
    assert front.core.requests[-1].grammar == required
    answer_of(front, tool_choice="none")
    assert not front.core.requests[-1].grammar


@pytest.mark.parametrize(
    ("calls", "text", "content", "found"),
    [
        (
            CallProfile(call_regex=(NAMED,)),
            'Let me see. <f=weather>{"city": "Oslo"}</f><f=weather>{"city": "Bergen"}</f>',
            None,
            [("weather", {"city": "Oslo"}), ("weather", {"city": "Bergen"})],
        ),
        (
            CallProfile(json_regex=(r"(?s)```json(.*?)```", r"(?s)<c>(.*?)</c>")),
            '<c>[{"name": "weather", "arguments": {"city": "Oslo"}}]</c>',
            None,
            [("weather", {"city": "Oslo"})],
        ),
        (
            CallProfile(
                call_regex=(r"(?P<name>\w+)\((?P<arguments>.*)\)",),
                argument_regex=(r"(?P<k>\w+)='(?P<v>[^']*)'",),
                argument_groups=("k", "v"),
                capture_text=(r"(?s)<say>(.*?)</say>",),
            ),
            "<say>Looking.</say> weather(city='Oslo', unit='C')",
            "Looking.",
            [("weather", {"city": "Oslo", "unit": "C"})],
        ),
        (
            CallProfile(replace_results=((r"'(\w*)'", '"$1"'),)),
            "{'name': 'weather', 'arguments': {'city': 'Oslo'}}",
            None,
            [("weather", {"city": "Oslo"})],
        ),
        (
            CallProfile(call_regex=(NAMED,), replace_text=((r"\s*<end>", ""),)),
            "No function is needed. <end>",
            "No function is needed.",
            [],
        ),
    ],
)
def test_expressions_find_calls_and_text(start, calls, text, content, found):
    assert answer_of(front_of(start, text, calls)) == (content, found)
    reply = front_of(start, text, calls).post(CHAT, chat_body(tools=TOOLS, stream=True))
    deltas = [event["choices"][0]["delta"] for event in events_of(reply)[:-1]]
    assert "".join(delta.get("content") or "" for delta in deltas) == (content or "")
    begun = [call for delta in deltas for call in delta.get("tool_calls", []) if "id" in call]
    assert [call["function"]["name"] for call in begun] == [name for name, _ in found]
