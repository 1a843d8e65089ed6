# ruff: noqa: RUF001
"""Calls that models were reported to write otherwise than their templates, read all the same.

Each is read whole, split at every place, and one by one.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from pyserve.openai.tools.arguments import Function
from pyserve.openai.tools.formats import HOLE, TAGGED, CallFormat, control_marks
from pyserve.openai.tools.known_formats import HARMONY, KNOWN_FORMATS, call_format, variant_marks
from pyserve.openai.tools.parts import AnswerStyle, Thinking
from pyserve.openai.tools.value_types import value_types
from tests.support.formats import APERTUS, DEEPSEEK, GEMMA, KIMI, MINIMAX
from tests.support.parts import read

OPEN = Thinking("<think>", "</think>", is_open=True)
CLOSED = Thinking("<think>", "</think>")
CODER = call_format("tools <tool_call> <function= <parameter=")
GLM = msgspec.structs.replace(
    call_format("tools <tool_call> <arg_key> <arg_value>"), has_line_breaks=False
)
LFM2 = next(known for known in KNOWN_FORMATS if known.name == "lfm2")
LLAMA = call_format('tools <|python_tag|> "parameters"')
XLAM = CallFormat(name="xlam", trigger="", before="[", between=", ", after="]")
GLM_DENSE = msgspec.structs.replace(GLM, name_end="", key_end="</arg_key><arg_value>")
GRANITE = call_format("tools <|tool_call|>")
MINISTRAL = call_format("tools [TOOL_CALLS] [ARGS]")
SMALL = CallFormat(
    name="small", kind="named", trigger="[TOOL_CALLS]", name_end=f"[CALL_ID]{HOLE}[ARGS]"
)
R1 = call_format("tools <｜tool▁calls▁begin｜> function<｜tool▁sep｜> ```json")
NEMO = call_format("tools [TOOL_CALLS]")
MARK = "]<]minimax[>["
NESTED = CallFormat(
    name="nested",
    kind="elements",
    trigger=f"{MARK}<tool_call>",
    before=f'\n{MARK}<invoke name="',
    name_end='">',
    key_begin=f"{MARK}<",
    key_end=">",
    value_end=f"{MARK}</",
    arguments_end=f"{MARK}</invoke>\n",
    after=f"{MARK}</tool_call>",
    has_line_breaks=False,
)
V31 = call_format("tools <｜tool▁calls▁begin｜> <｜tool▁sep｜>")
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "path": {"type": "string"},
        "n": {"type": "integer"},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "kind": {"type": ["string", "null"]},
        "items": {"type": "array"},
        "on": {"type": "boolean"},
    },
}
FUNCTIONS = [Function(name, SCHEMA, "tools.0") for name in ("f", "g", "ns.f", "mcp/f")]
TYPES = {path: types for function in FUNCTIONS for path, types in value_types(function).items()}
A, GIVEN = {"path": "/tmp/a"}, [("f", {"path": "/tmp/a"})]
PATH = "<parameter=path>\n/tmp/a\n</parameter>"
KEY = "<arg_key>path</arg_key>"
BARE = f"<function=f>\n{PATH}\n</function>"
WRAPPED = f"<tool_call>\n{BARE}\n</tool_call>"
OBJECT = '{"name": "f", "arguments": {"path": "/tmp/a"}}'
JSON = '{"path": "/tmp/a"}'
INVOKE = '<invoke name="f">\n<parameter name="path">/tmp/a</parameter>\n</invoke>\n'
DSML = (
    '<｜DSML｜invoke name="f">\n<｜DSML｜parameter name="path" string="true">/tmp/a'
    "</｜DSML｜parameter>\n</｜DSML｜invoke>\n"
)
HEAD = "<|channel|>commentary to=functions.{} <|constrain|>json<|message|>"
Row = tuple[CallFormat | None, Thinking | None, str, str, str, list[tuple[str, Any]]]


def kimi(call_id: str) -> str:
    call = f"{call_id}<|tool_call_argument_begin|>{JSON}<|tool_call_end|>"
    return f"<|tool_calls_section_begin|><|tool_call_begin|>{call}<|tool_calls_section_end|>"


def coder(inner: str) -> str:
    return f"<tool_call>\n<function=f>\n{inner}\n</function>\n</tool_call>"


def glm(value: str) -> str:
    return f"<tool_call>f\n{KEY}\n<arg_value>{value}</tool_call>"


def given(key: str, value: str) -> str:
    return f"<parameter={key}>\n{value}\n</parameter>"


def pick(calls: CallFormat, answer: str, made: list[tuple[str, Any]], text: str = "") -> Row:
    """An answer without thoughts."""
    return calls, None, answer, text, "", made


def said(calls: CallFormat, answer: str) -> Row:
    """An answer that is nothing but text."""
    return calls, None, answer, answer, "", []


# format, thoughts, answer -> text, thoughts, calls
ROWS: dict[str, Row] = {
    # The mark before a call is left out.
    "no begin": pick(CODER, f"I read.\n\n{BARE}\n</tool_call>", GIVEN, "I read."),
    "no begin and no end": pick(CODER, f"{BARE}\n{BARE}\nDone.", GIVEN * 2, "\nDone."),
    "no begin, then one": pick(CODER, f"{BARE}\n</tool_call>\n{WRAPPED}", GIVEN * 2),
    "a function that is not offered": said(CODER, "Use <function=h>\n</function>"),
    "a function that is told of": said(CODER, "Use <function=f> here"),
    "a call in a block of code": said(CODER, f"```xml\n{BARE}\n```\nSo."),
    "a call after a block of code": pick(CODER, f"```\n1\n```\n{BARE}", GIVEN, "```\n1\n```"),
    "no begin in thoughts": (CODER, OPEN, f"Hm.\n{BARE}", "", "Hm.", GIVEN),
    "no begin after thoughts": (CODER, OPEN, f"Hm.</think>\n{BARE}", "", "Hm.", GIVEN),
    "no begin, in thoughts that go on": (
        CODER,
        OPEN,
        f"Say {BARE} or not.</think>No.",
        "No.",
        f"Say {BARE} or not.",
        [],
    ),
    "invoke alone": pick(MINIMAX, f"So {INVOKE}</minimax:tool_call>", GIVEN, "So"),
    "an object alone": pick(TAGGED, OBJECT, GIVEN),
    "an object alone, pretty": pick(TAGGED, "\n" + OBJECT.replace(", ", ",\n  "), GIVEN),
    "an object of no function": said(TAGGED, '{"name": "Bo", "arguments": {}}'),
    "an object that describes": said(TAGGED, '{"name": "f", "type": "x"}'),
    "text before an object": pick(LLAMA, f"I read. {OBJECT}", GIVEN, "I read."),
    "text before a list": pick(XLAM, f"I read.\n[{OBJECT}, {OBJECT}]", GIVEN * 2, "I read."),
    "objects with semicolons": pick(LLAMA, f"{OBJECT}; {OBJECT}", GIVEN * 2),
    "an object in code": said(LLAMA, f"```json\n{OBJECT}\n```"),
    "text before a pretty object": pick(
        LLAMA, "I read. " + OBJECT.replace("{", "{\n  ").replace(", ", ",\n  "), GIVEN, "I read."
    ),
    "objects in text": said(LLAMA, 'The set {1} and {"name": "h"}, {'),
    "objects in thoughts": (LLAMA, OPEN, "So {1}, {", "", "So {1}, {", []),
    # Another model's marks.
    "a mark of Mistral": pick(XLAM, f"I read.[TOOL_CALLS][{OBJECT}]", GIVEN, "I read."),
    "tags of Hermes": pick(
        XLAM, f"I read.\n<tool_call>[{OBJECT}]</tool_call>\nSo", GIVEN, "I read.\nSo"
    ),
    "tags around one": pick(
        GRANITE, f"<tool_call>\n{OBJECT}\n</tool_call> <|tool_call|>[{OBJECT}]", GIVEN * 2
    ),
    "a word of Phi": pick(LLAMA, f"functools[\n{OBJECT},\n{OBJECT}]", GIVEN * 2),
    "another's mark without its own name": said(
        GRANITE, 'Write <tool_call>[{"name": "h", "arguments": {}}]</tool_call>'
    ),
    "another's word in text": said(LLAMA, "from functools import wraps, functools"),
    "another's mark in code": said(LLAMA, f"```\n<tool_call>{OBJECT}</tool_call>\n```"),
    # Other marks around runs.
    "an older section": (
        KIMI,
        OPEN,
        "Hm</think>" + kimi("functions.f:0").replace("calls_section", "call_section"),
        "",
        "Hm",
        GIVEN,
    ),
    "spaces, and thoughts that end after it": (
        KIMI,
        OPEN,
        f"Hm {kimi(' functions.f:0 ')}</think>",
        "",
        "Hm",
        GIVEN,
    ),
    "ids without their word": pick(KIMI, kimi("f:0"), GIVEN),
    "ids of letters": pick(KIMI, kimi("functions_f_1"), GIVEN),
    "ids with another word": pick(KIMI, kimi("functions.f:a_1"), GIVEN),
    "ids without a number": pick(KIMI, kimi("functions.f"), GIVEN),
    "a name of the version before": pick(
        DEEPSEEK, f"<｜DSML｜function_calls>\n{DSML}</｜DSML｜function_calls> So", GIVEN, " So"
    ),
    "a broken name": pick(DEEPSEEK, f"<｜DSML｜toolcalls>\n{DSML}</｜DSML｜tool_calls>", GIVEN),
    "no mark around it": pick(DEEPSEEK, f"{DSML}</｜DSML｜tool_calls>", GIVEN),
    "no end": pick(DEEPSEEK, f"<｜DSML｜tool_calls>\n{DSML}", GIVEN),
    # Arguments in another form.
    "an object in tags": pick(CODER, f"<tool_call>\n{OBJECT}\n</tool_call> So", GIVEN, " So"),
    "arguments as an object": pick(CODER, coder(JSON), GIVEN),
    "the same between marks": pick(
        DEEPSEEK,
        f'<｜DSML｜tool_calls><｜DSML｜invoke name="f">\n{JSON}\n</｜DSML｜invoke>\n'
        "</｜DSML｜tool_calls>",
        GIVEN,
    ),
    "a type left out": pick(
        DEEPSEEK, "<｜DSML｜tool_calls>" + DSML.replace(' string="true"', ""), GIVEN
    ),
    "objects for Python": pick(LFM2, f"<|tool_call_start|>[{OBJECT}]<|tool_call_end|>", GIVEN),
    "an object for Python": pick(LFM2, f"<|tool_call_start|>{OBJECT}<|tool_call_end|>", GIVEN),
    "arguments by place": pick(
        LFM2,
        "<|tool_call_start|>[f('/tmp/a', 3, None), g([1], n=2), f({'x': 1})]<|tool_call_end|>",
        [
            ("f", {**A, "n": 3, "note": None}),
            ("g", {"path": [1], "n": 2}),
            ("f", {"path": {"x": 1}}),
        ],
    ),
    "no list": pick(LFM2, "<|tool_call_start|>f(path='/tmp/a')<|tool_call_end|>", GIVEN),
    "a list for arguments": pick(MINISTRAL, f"[TOOL_CALLS] [{OBJECT}]", GIVEN),
    "an id left out": pick(
        SMALL, f"[TOOL_CALLS]f[ARGS]{JSON}[TOOL_CALLS]g{{}}", [*GIVEN, ("g", {})]
    ),
    "names for keys": pick(APERTUS, f"<|tools_prefix|>[{OBJECT}]<|tools_suffix|>", GIVEN),
    "a block of code": pick(TAGGED, f"<tool_call>\n```json\n{OBJECT}\n```\n</tool_call>", GIVEN),
    "the same after a name": pick(
        V31,
        f"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>```json\n{JSON}\n```"
        "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        GIVEN,
    ),
    "equals signs and other quotes": pick(
        GEMMA,
        """<|tool_call>call:f{path='/tmp/a',items=["a\\"b",'it\\'s'],n:3}<tool_call|>""",
        [("f", {**A, "items": ['a"b', "it's"], "n": 3})],
    ),
    "keys with spaces": pick(
        GEMMA,
        '<|tool_call>call:f{path:{Basic LLM Chain:1,b:<|"|>x, \'y<|"|>}}<tool_call|>',
        [("f", {"path": {"Basic LLM Chain": 1, "b": "x, 'y"}})],
    ),
    "a comma left out": pick(
        GEMMA, '<|tool_call>call:f{path:<|"|>/tmp/a<|"|>n:3}<tool_call|>', [("f", {**A, "n": 3})]
    ),
    # JSON that is not quite JSON.
    "commas after the last": pick(
        TAGGED,
        '<tool_call>{"name": "f", "arguments": {"path": [1, 2,\n], "n": "a,}",},}</tool_call>',
        [("f", {"path": [1, 2], "n": "a,}"})],
    ),
    "escapes that are none": pick(
        TAGGED,
        r'<tool_call>{"name": "f", "arguments": {"path": "\d\u12 \u00e9 \ud83d\ude00 \n"}}',
        [("f", {"path": "\\d\\u12 é 😀 \n"})],
    ),
    "single quotes": pick(
        TAGGED,
        "<tool_call>{'name': 'f', 'arguments': {'path': 'it\\'s', 'n': None}}</tool_call>",
        [("f", {"path": "it's", "n": None})],
    ),
    "words of Python": pick(
        TAGGED,
        '<tool_call>{"name": "f", "arguments": {"on": True, "items": [None, "True", False]}}',
        [("f", {"on": True, "items": [None, "True", False]})],
    ),
    "a list where one call should be": pick(LLAMA, f"[{OBJECT}, {OBJECT}]", GIVEN * 2),
    "no arguments": pick(
        TAGGED,
        '<tool_call>{"name": "f", "arguments": null}\n{"arguments": "", "name": "g"}</tool_call>',
        [("f", {}), ("g", {})],
    ),
    # Tags left out.
    "no end of a value": pick(CODER, coder("<parameter=path>\n/tmp/a"), GIVEN),
    "no end of a value before a key": pick(
        CODER,
        coder("<parameter=path>\n/tmp/a\n<parameter=n>\n3\n</parameter>"),
        [("f", {**A, "n": 3})],
    ),
    "tags in a value": pick(
        CODER,
        coder("<parameter=path>\n<parameter=n> </function> </tool_call>\n</parameter>"),
        [("f", {"path": "<parameter=n> </function> </tool_call>"})],
    ),
    "no end of a function": pick(
        CODER, f"<tool_call>\n<function=f>\n{PATH}\n</tool_call> So", GIVEN, " So"
    ),
    "no end of a value but the call's": pick(
        CODER, "<tool_call>\n<function=f>\n<parameter=path>\n/tmp/a</function></tool_call>", GIVEN
    ),
    "the same and another call": pick(GLM, f"{glm('/tmp/a')}\n{glm('/tmp/a')}", GIVEN * 2),
    "the end of a call in a value": pick(
        GLM, glm("a</tool_call> b</arg_value>"), [("f", {"path": "a</tool_call> b"})]
    ),
    "ends where none belong": pick(
        GLM,
        f"<tool_call>f</arg_key>\n{KEY}</arg_key><arg_value>/tmp/a</arg_value></arg_key>\n"
        "<arg_key>n</arg_key><arg_value>3</arg_value></arg_value></tool_call></tool_call> So",
        [("f", {**A, "n": 3})],
        " So",
    ),
    "no end of a key": pick(GLM, glm("/tmp/a</arg_value>").replace("</arg_key>", ""), GIVEN),
    "a line of its own": pick(GLM, glm("\n/tmp/a\n</arg_value>"), GIVEN),
    "several lines": pick(GLM, glm("\na\nb\n</arg_value>"), [("f", {"path": "\na\nb\n"})]),
    "a begin twice": pick(TAGGED, f"<tool_call>\n<tool_call>\n{OBJECT}\n</tool_call>", GIVEN),
    "an end twice": pick(TAGGED, f"<tool_call>{OBJECT}</tool_call></tool_call> So", GIVEN, " So"),
    "quotes around keys": pick(CODER, coder(PATH.replace("=path", '= "path" ')), GIVEN),
    # Cut off.
    "cut between arguments": pick(CODER, f"<tool_call>\n<function=f>\n{PATH}\n", GIVEN),
    "cut in a key": pick(CODER, f"<tool_call>\n<function=f>\n{PATH}\n<parameter=n", GIVEN),
    "cut before arguments": pick(CODER, "<tool_call>\n<function=f>\n", [("f", {})]),
    # The forms of other families, whose runs begin alike.
    "an older form of DeepSeek": pick(
        V31,
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n"
        f"```json\n{JSON}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        GIVEN,
    ),
    "a newer form of DeepSeek": pick(
        R1,
        f"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{JSON}"
        "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        GIVEN,
    ),
    "a newer form of Mistral": pick(NEMO, f"[TOOL_CALLS]f[ARGS]{JSON}", GIVEN),
    "another of Mistral": pick(NEMO, f"[TOOL_CALLS]f[CALL_ID]abc[ARGS]{JSON}", GIVEN),
    "tags where an object should be": pick(TAGGED, WRAPPED, GIVEN),
    "keys and values where an object should be": pick(TAGGED, glm("/tmp/a</arg_value>"), GIVEN),
    "tags of another family": pick(GLM, WRAPPED, GIVEN),
    "elements that are too deep": pick(
        NESTED,
        f'{MARK}<tool_call>\n{MARK}<invoke name="f">{MARK}<n>'
        + f"{MARK}<a>" * 33
        + f"{MARK}</n>{MARK}</invoke>\n{MARK}</tool_call> So",
        [("f", {"n": None})],
        " So",
    ),
    # Values by their schemas.
    "words of other languages": pick(
        CODER,
        coder(f"{given('on', 'FALSE')}\n{given('n', ' - 5 ')}\n{given('items', '[None]')}"),
        [("f", {"on": False, "n": -5, "items": [None]})],
    ),
    "texts or null": pick(
        CODER,
        coder("<parameter=note>\n007\n</parameter>\n<parameter=kind>\nnull\n</parameter>"),
        [("f", {"note": "007", "kind": None})],
    ),
    "texts that begin as null does": pick(
        MINIMAX,
        '<minimax:tool_call><invoke name="f"><parameter name="kind">nullable</parameter></invoke>'
        "</minimax:tool_call>",
        [("f", {"kind": "nullable"})],
    ),
    "line breaks between tags": pick(
        GLM_DENSE,
        "<tool_call>f\n<arg_key>path</arg_key>\n<arg_value>/tmp/a</arg_value>\n"
        "<arg_key>n</arg_key><arg_value>3</arg_value></tool_call>",
        [("f", {**A, "n": 3})],
    ),
    "names with dots and slashes": pick(
        GLM,
        "<tool_call>ns.f\n</tool_call><tool_call>mcp/f\n</tool_call>",
        [("ns.f", {}), ("mcp/f", {})],
    ),
    # Thoughts.
    "thoughts again": (CODER, OPEN, "a</think>\n\n<think>\nb\n</think>\n\nHi", "Hi", "a\nb", []),
    "thoughts that are none": (CODER, CLOSED, "<think>\n\n</think>\n\nHi", "Hi", "", []),
    "thoughts without their mark": (
        GEMMA,
        Thinking("<|channel>thought", "<channel|>", is_repeated=True),
        "thought\nHm.<channel|>I <b>thought\nso</b>",
        "I <b>thought\nso</b>",
        "Hm.",
        [],
    ),
    "a thought that is text": (
        GEMMA,
        Thinking("<|channel>thought", "<channel|>", is_repeated=True),
        "thoughtful",
        "thoughtful",
        "",
        [],
    ),
    "thoughts told of": (CODER, CLOSED, "The tag <think>", "The tag <think>", "", []),
}
CHANNELS: dict[str, tuple[str, str, str, list[tuple[str, Any]]]] = {
    "nothing for arguments": (f"{HEAD.format('f')}<|call|>", "", "", [("f", {})]),
    "a name with a slash": (f"{HEAD.format('mcp/f')}{JSON}<|call|>", "", "", [("mcp/f", A)]),
    "two calls": (
        f"{HEAD.format('f')}{JSON}<|call|><|start|>assistant{HEAD.format('g')}{{}}<|call|>",
        "",
        "",
        [*GIVEN, ("g", {})],
    ),
    "a header twice": (
        "<|channel|>commentary to=assistant<|channel|>analysis<|message|>Hm<|end|>"
        "<|start|>assistant<|channel|>final <|constrain|>response<|message|>Hi<|return|>",
        "Hi",
        "Hm",
        [],
    ),
    "a call in the channel of thoughts": (
        f"<|channel|>analysis to=functions.f code<|message|>{JSON}<|call|>",
        "",
        "",
        GIVEN,
    ),
}


def style(calls: CallFormat | None, thinking: Thinking | None) -> AnswerStyle:
    marks = (*calls.control_marks, *variant_marks(calls)) if calls else ()
    return AnswerStyle(
        thinking,
        calls,
        types=TYPES,
        parameters={function.name: tuple(SCHEMA["properties"]) for function in FUNCTIONS},
        marks=(*marks, *control_marks(*marks)),
    )


def parts(given: AnswerStyle, chunks: list[str]) -> tuple[str, str, list[tuple[str, Any]]]:
    text, thoughts, calls = read(given, chunks)
    return text, thoughts, [(name, json.loads(arguments)) for name, arguments in calls]


def check(given: AnswerStyle, answer: str, wanted: tuple[Any, ...]) -> None:
    cuts = [[answer], list(answer)]
    cuts += [[answer[:i], answer[i:]] for i in range(1, len(answer))]
    for chunks in cuts:
        assert parts(given, chunks) == wanted, chunks[0]


@pytest.mark.parametrize("row", ROWS)
def test_it_becomes_a_call_wherever_it_is_cut(row: str) -> None:
    calls, thinking, answer, *wanted = ROWS[row]
    check(style(calls, thinking), answer, tuple(wanted))


@pytest.mark.parametrize(
    ("answer", "text", "thoughts", "calls"),
    [
        ("<think>\na\n</think>\n<response>\nb\n</response>\n", "b", "a", []),
        ("<response>b", "b", "", []),
        ("<response>It ends with </response>.</response> ", "It ends with </response>.", "", []),
        ("<response>b</response>\n\nc", "b</response>\n\nc", "", []),
        ("b <response>c</response>", "b <response>c</response>", "", []),
        (f"<response>b</response>\n<|tool_call|>[{OBJECT}]", "b", "", GIVEN),
        (f"<think>a<|tool_call|>[{OBJECT}]", "", "a", GIVEN),
    ],
)
def test_tags_around_the_text_are_no_part_of_it(
    answer: str, text: str, thoughts: str, calls: list[tuple[str, Any]]
) -> None:
    given = msgspec.structs.replace(style(GRANITE, CLOSED), text_tags=("<response>", "</response>"))
    check(given, answer, (text, thoughts, calls))


@pytest.mark.parametrize("row", CHANNELS)
def test_messages_become_calls_wherever_they_are_cut(row: str) -> None:
    answer, *wanted = CHANNELS[row]
    given = AnswerStyle(
        Thinking(*(HARMONY.thinking or ("", ""))), HARMONY.calls, channels=HARMONY.channels
    )
    check(given, answer, tuple(wanted))


def test_large_arguments_come_as_they_are_written() -> None:
    """What is held back is a part of a tag, however long a text is."""
    reader_style = style(CODER, None)
    line = "x < y </par\n"
    body = line * 2000
    answer = coder(f"<parameter=path>\n{body}</parameter>")
    text, _, calls = parts(reader_style, [answer[i : i + 7] for i in range(0, len(answer), 7)])
    assert (text, calls) == ("", [("f", {"path": body.removesuffix("\n")})])
