"""Answers that parsers of other servers were reported to break on, read into their parts."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from pyserve.openai.tools.formats import BARE, HOLE, TAGGED, CallFormat
from pyserve.openai.tools.known_formats import HARMONY, KNOWN_FORMATS, call_format
from pyserve.openai.tools.parts import (
    AnswerStyle,
    Thinking,
)
from pyserve.openai.tools.value_types import TEXT
from tests.support.formats import KIMI
from tests.support.parts import read

THINK = Thinking("<think>", "</think>", is_open=True)
CODER = call_format("tools <tool_call> <function= <parameter=")
LFM2 = next(known for known in KNOWN_FORMATS if known.name == "lfm2")
TEXTS = {("f", key): TEXT for key in ("path", "content", "cmd", "note")}
READ = (
    "<tool_call>\n<function=f>\n<parameter=path>\n/tmp/a\n</parameter>\n</function>\n</tool_call>"
)
WRITE = (
    "<tool_call>\n<function=f>\n<parameter=content>\n{}\n\n</parameter>\n"
    "<parameter=path>\na\n</parameter>\n</function>\n</tool_call>"
)
BROKEN = (
    "<tool_call>\n<function=f>\n<parameter=cmd>\nls\n</parameter>\n{}\n</function>\n</tool_call>"
)
CALL = '<|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{"a": 1}<|tool_call_end|>'
A = [("f", {"a": 1})]


def style(calls: CallFormat | None, thinking: Thinking | None = None) -> AnswerStyle:
    marks = calls.control_marks if calls else ()
    return AnswerStyle(thinking, calls, TEXTS, marks=marks)


CODING, THOUGHTFUL = style(CODER), style(CODER, THINK)
OBJECTS = style(TAGGED)
SECTIONS = style(KIMI, THINK)
CHANNELED = AnswerStyle(
    Thinking(*(HARMONY.thinking or ("", ""))), HARMONY.calls, channels=HARMONY.channels
)
# style, answer, text, thoughts, calls
ROWS: dict[str, tuple[AnswerStyle, str, str, str, list[tuple[str, Any]]]] = {
    "quotes in a text of Python": (
        style(LFM2),
        r"<|tool_call_start|>[f(code='plot(label=\'\', c=\'r\')\nprint(\"hi\")')]<|tool_call_end|>",
        "",
        "",
        [("f", {"code": "plot(label='', c='r')\nprint(\"hi\")"})],
    ),
    "an empty line at the end of a text": (
        CODING,
        WRITE,
        "",
        "",
        [("f", {"content": "{}\n", "path": "a"})],
    ),
    "an end without a begin": (
        THOUGHTFUL,
        "so\n</tool_call>\n</think>\n\nWell </tool_call> then",
        "Well </tool_call> then",
        "so\n</tool_call>",
        [],
    ),
    "a call ends thoughts that have no end": (
        THOUGHTFUL,
        f"I read it.\n{READ}\n",
        "",
        "I read it.",
        [("f", {"path": "/tmp/a"})],
    ),
    "the same, two of them": (
        THOUGHTFUL,
        f"I read it.\n{READ}\n{READ}",
        "",
        "I read it.",
        [("f", {"path": "/tmp/a"})] * 2,
    ),
    "a call that is only thought of": (
        THOUGHTFUL,
        f"Maybe {READ} or not.</think>\n\nNo.",
        "No.",
        f"Maybe {READ} or not.",
        [],
    ),
    "the same, and then made": (
        THOUGHTFUL,
        f"Maybe {READ}\n</think>\n\n{READ}",
        "",
        f"Maybe {READ}",
        [("f", {"path": "/tmp/a"})],
    ),
    "a call that is begun in thoughts": (
        THOUGHTFUL,
        f"Maybe <tool_call>\n<function=f>\n<parameter=path>\nno</think>\n{READ}",
        "",
        "Maybe <tool_call>\n<function=f>\n<parameter=path>\nno",
        [("f", {"path": "/tmp/a"})],
    ),
    "a parameter without a name": (
        CODING,
        BROKEN.format("<parameter=\necho hi\n</parameter>"),
        "",
        "",
        [("f", {"cmd": "ls"})],
    ),
    "a tag without an end": (
        CODING,
        BROKEN.format("<parameter=ids: [1]\n</parameter>") + "\nSo.",
        "\nSo.",
        "",
        [("f", {"cmd": "ls"})],
    ),
    "a section ends thoughts": (
        SECTIONS,
        f"I look.<|tool_calls_section_begin|>{CALL}<|tool_calls_section_end|>",
        "",
        "I look.",
        A,
    ),
    "a call without its section": (SECTIONS, f"I look.{CALL}", "", "I look.", A),
    "text between a section and its call": (
        SECTIONS,
        f"So.</think>Well <|tool_calls_section_begin|>now {CALL}<|tool_calls_section_end|>",
        "Well now",
        "So.",
        A,
    ),
    "a name with a hyphen": (
        CHANNELED,
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary "
        'to=functions.web-browsing <|constrain|>json<|message|>{"a": 1}<|call|>',
        "",
        "Hm.",
        [("web-browsing", {"a": 1})],
    ),
    "line breaks in JSON, and more after it": (
        CHANNELED,
        "<|channel|>commentary to=functions.f <|constrain|>json<|message|>"
        '{"a": "/**\n */\t"}]<|call|>',
        "",
        "",
        [("f", {"a": "/**\n */\t"})],
    ),
    "an answer that is no call": (OBJECTS, "Hello!", "Hello!", "", []),
    "arguments as a text": (
        OBJECTS,
        '<tool_call>\n{"name": "f", "arguments": "{\\"a\\": 1}"}\n</tool_call>',
        "",
        "",
        A,
    ),
    "arguments by another name": (
        OBJECTS,
        '<tool_call>\n{"name": "f", "args": {"a": 1}}\n</tool_call>',
        "",
        "",
        A,
    ),
    "two calls in one pair of tags": (
        OBJECTS,
        '<tool_call>{"name": "f", "arguments": {"a": 1}}\n'
        '{"name": "f", "arguments": {"a": 1}}</tool_call>\nSo.',
        "\nSo.",
        "",
        A * 2,
    ),
    "a list in the tags of one call": (
        OBJECTS,
        '<tool_call>\n[{"name": "f", "arguments": {"a": 1}},\n '
        '{"name": "f", "arguments": {"a": 1}}]\n</tool_call>\nSo.',
        "\nSo.",
        "",
        A * 2,
    ),
    "one call where a list should be": (
        style(call_format("tools [TOOL_CALLS]")),
        '[TOOL_CALLS] {"name": "f", "arguments": {"a": 1}}',
        "",
        "",
        A,
    ),
    "calls as those of a request": (
        OBJECTS,
        '<tool_call>[{"id": "1", "type": "function", "function": {"name": "f", "arguments": '
        '{"a": 1}}}, {"function": {"arguments": "{\\"a\\": 1}", "name": "f"}}]</tool_call>',
        "",
        "",
        A * 2,
    ),
    "calls by name where those of a request should be": (
        style(
            CallFormat(
                name="ids",
                trigger="<tool_call>",
                before=f'[{{"id": "{HOLE}", "function": ',
                between=f'}}, {{"id": "{HOLE}", "function": ',
                after="}]</tool_call>",
            )
        ),
        '<tool_call>[{"name": "f", "arguments": {"a": 1}}]</tool_call>',
        "",
        "",
        A,
    ),
    "more after a call that is no call": (
        OBJECTS,
        '<tool_call>{"name": "f", "arguments": {"a": 1}} {"x": 2}</tool_call> So.',
        '{"x": 2}</tool_call> So.',
        "",
        A,
    ),
    "a list that is no list of calls": (
        style(msgspec.structs.replace(BARE, before="[", between=", ", after="]")),
        "[1] says so, [2] does not.",
        "[1] says so, [2] does not.",
        "",
        [],
    ),
    "numbers that JSON does not have": (
        style(msgspec.structs.replace(CODER, types={})),
        BROKEN.format("<parameter=ratio>\nNaN\n</parameter>"),
        "",
        "",
        [("f", {"cmd": "ls", "ratio": "NaN"})],
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_it_is_read_into_its_parts_wherever_it_is_cut(row: str):
    given, answer, *wanted = ROWS[row]
    cuts = [[answer], list(answer)]
    cuts += [[answer[:i], answer[i:]] for i in range(1, len(answer))]
    for chunks in cuts:
        assert read_json(given, chunks) == tuple(wanted)


def read_json(given: AnswerStyle, chunks: list[str]) -> tuple[str, str, list[tuple[str, Any]]]:
    """Text, thoughts and calls, whose arguments are JSON."""
    text, thoughts, calls = read(given, chunks)
    return text, thoughts, [(name, json.loads(arguments)) for name, arguments in calls]


def test_many_drafts_take_no_more_time_than_their_length():
    """Each is looked at to the end of the thoughts; after some they are thoughts alone."""
    draft = '<tool_call>\n{"name": "f", "arguments": {'
    text, thoughts, calls = read_json(style(TAGGED, THINK), [draft * 3000, "</think>\n\nSo."])
    assert (text, calls) == ("So.", [])
    assert thoughts == draft * 3000
