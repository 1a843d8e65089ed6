# ruff: noqa: RUF001
"""Calls that begin without the mark before them are held to the functions, and nothing else is.

What the grammar allows is what the reader reads.
"""

from __future__ import annotations

import json

import pytest

from pyserve.openai.tools.arguments import Function
from pyserve.openai.tools.call_writer import Calls
from pyserve.openai.tools.formats import TAGGED, CallFormat
from pyserve.openai.tools.grammar import answer_grammar
from pyserve.openai.tools.known_formats import call_format
from pyserve.openai.tools.parts import AnswerStyle, Thinking
from pyserve.openai.tools.value_types import value_types
from tests.support.formats import DEEPSEEK, KIMI, MINIMAX
from tests.support.gbnf import Acceptor
from tests.support.parts import read

CODER = call_format("tools <tool_call> <function= <parameter=")
LLAMA = call_format('tools <|python_tag|> "parameters"')
XLAM = CallFormat(name="xlam", trigger="", before="[", between=", ", after="]")
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
    "additionalProperties": False,
}
FUNCTIONS = [Function(name, SCHEMA, "tools.0.function") for name in ("f", "fan")]
STYLE = {path: types for one in FUNCTIONS for path, types in value_types(one).items()}
OBJECT = '{"name": "f", "arguments": {"city": "x"}}'
OTHER = OBJECT.replace("city", "town")
TAGS = "<function=f>\n<parameter=city>\nx\n</parameter>\n</function>"
WRONG = "<function=f>\n<parameter=town>"
INVOKE = '<invoke name="f">\n<parameter name="city">x</parameter>\n</invoke>\n'
DSML = (
    '<｜DSML｜invoke name="f">\n<｜DSML｜parameter name="city" string="true">x'
    "</｜DSML｜parameter>\n</｜DSML｜invoke>\n"
)
KIMI_CALL = (
    '<|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{"city": "x"}'
    "<|tool_call_end|><|tool_calls_section_end|>"
)
# format, answer, how many calls are in it; None: the grammar does not allow it
ROWS: list[tuple[CallFormat, str, int | None]] = [
    (TAGGED, OBJECT, 1),
    (TAGGED, f"\n {OBJECT}\n</tool_call>", 1),
    (TAGGED, '{"name" :\n "f" ,\n "arguments" : {"city": "x"}\n}', 1),
    (TAGGED, OBJECT.replace("arguments", "parameters"), 1),
    (TAGGED, f"{OBJECT}\n{OBJECT}", 2),
    (TAGGED, f"{OBJECT}\n<tool_call>\n{OBJECT}\n</tool_call>", 2),
    (TAGGED, OTHER, None),
    (TAGGED, f"{OBJECT} So.", None),
    (TAGGED, OTHER.replace('"f"', '"g"'), 0),
    (TAGGED, '{"name": "fan", "is": 1}', 0),
    (TAGGED, '{"name": "fans", "arguments": 1}', 0),
    (TAGGED, '{"a": 1}', 0),
    (TAGGED, '{"name": "f"', 0),
    (TAGGED, f"So {OTHER}", 0),
    (TAGGED, f"{{ <tool_call>\n{OBJECT}\n</tool_call>", 1),
    (TAGGED, f'{{"name": <tool_call>{OTHER}', None),
    (CODER, f"So.\n{TAGS}\n</tool_call>", 1),
    (CODER, f"{TAGS}\n{TAGS}", 2),
    (CODER, f"{TAGS}\n<tool_call>\n{TAGS}\n</tool_call>", 2),
    (CODER, TAGS.replace("\n</parameter>", ""), 1),
    (CODER, WRONG, None),
    (CODER, f"So. {WRONG}", None),
    (CODER, "Use <function=f> here", 0),
    (CODER, "Use <function=f>", 0),
    (CODER, "Use <function=f>\n\n<param", 0),
    (CODER, WRONG.replace("=f", "=g"), 0),
    (CODER, f"```\n{WRONG}\n```", 0),
    (CODER, f"```\n{WRONG}\n``` {WRONG}", None),
    (CODER, f"<func <function=f <tool_call>\n{TAGS}\n</tool_call>", 1),
    (MINIMAX, f"So. {INVOKE}</minimax:tool_call>", 1),
    (MINIMAX, INVOKE * 2, 2),
    (MINIMAX, f"So. {INVOKE.replace('city', 'town')}", None),
    (DEEPSEEK, f"So. {DSML}</｜DSML｜tool_calls>", 1),
    (DEEPSEEK, f"So. <｜DSML｜tool_calls>\n{DSML}</｜DSML｜tool_calls>", 1),
    (DEEPSEEK, f"So. {DSML.replace('city', 'town')}", None),
    (KIMI, f"So. {KIMI_CALL}", 1),
    (KIMI, f"So. {KIMI_CALL.replace('city', 'town')}", None),
    (LLAMA, f"So. {OBJECT}", 1),
    (LLAMA, f"So. {OTHER}", None),
    (LLAMA, f"```json\n{OTHER}\n```", 0),
    (LLAMA, f"<|python_tag|>{OBJECT.replace('arguments', 'parameters')}", 1),
    (LLAMA, f"[{OBJECT}]", 1),
    (LLAMA, f"[{OTHER}", None),
    (LLAMA, 'The set {1}, {"name": "h", "arguments": 1} and {', 0),
    (LLAMA, f"So. {OTHER.replace('{', '{ ')}", None),
    (LLAMA, f"So. <tool_call>\n{OBJECT}\n</tool_call>", 1),
    (LLAMA, f"So. <tool_call>\n{OTHER}", None),
    (LLAMA, "from functools import wraps, functools", 0),
    (LLAMA, f"functools[{OBJECT}]", 1),
    (LLAMA, f"functools[{OTHER}", None),
    (TAGGED, f"So. [TOOL_CALLS][{OBJECT}]", 1),
    (TAGGED, f"So. [TOOL_CALLS][{OTHER}", None),
    (XLAM, f"So. [{OBJECT}, {OBJECT}]", 2),
    (XLAM, f"So. [{OBJECT}, {OTHER}]", None),
]


def grammar_of(layout: CallFormat, *, can_repeat: bool = True) -> str:
    calls = Calls(layout, FUNCTIONS, is_required=False, can_repeat=can_repeat)
    return answer_grammar(None, calls, "")


@pytest.mark.parametrize(("layout", "answer", "n_calls"), ROWS)
def test_a_call_is_held_to_its_function(layout: CallFormat, answer: str, n_calls: int | None):
    grammar = Acceptor(grammar_of(layout))
    if n_calls is None:
        assert grammar.n_followed(answer) < len(answer)
        return
    assert grammar.accepts(answer), answer[grammar.n_followed(answer) :]
    parameters = {function.name: tuple(SCHEMA["properties"]) for function in FUNCTIONS}
    style = AnswerStyle(None, layout, STYLE, parameters, marks=layout.control_marks)
    for chunks in ([answer], list(answer)):
        _, _, calls = read(style, chunks)
        assert [(name, json.loads(given)) for name, given in calls] == [
            ("f", {"city": "x"})
        ] * n_calls


@pytest.mark.parametrize(
    ("layout", "one"),
    [
        (TAGGED, OBJECT),
        (CODER, TAGS),
        (MINIMAX, INVOKE),
        (DEEPSEEK, f"So. {DSML}</｜DSML｜tool_calls>"),
        (LLAMA, f"So. {OBJECT}"),
    ],
)
def test_one_call_is_one_where_several_are_not_wanted(layout: CallFormat, one: str):
    grammar = Acceptor(grammar_of(layout, can_repeat=False))
    assert grammar.accepts(one)
    more = one.removeprefix("So. ")
    assert not grammar.accepts(f"{one}\n{more}")
    assert not grammar.accepts(f"{one}{more}")


def test_calls_are_held_after_thoughts_too():
    calls = Calls(TAGGED, FUNCTIONS, is_required=False, can_repeat=True)
    grammar = Acceptor(answer_grammar(Thinking("<think>", "</think>"), calls, ""))
    assert grammar.accepts(f"<think>\n{OTHER}\n</think>\n\n{OBJECT}")
    assert grammar.accepts(f"<think>\n{OTHER}")
    assert not grammar.accepts(f"<think>\n</think>\n\n{OTHER}")


def test_many_functions_are_held_after_their_mark_alone():
    many = [Function(f"{'n' * 60}{i}", SCHEMA, f"tools.{i}.function") for i in range(300)]
    calls = Calls(TAGGED, many, is_required=False, can_repeat=True)
    grammar = answer_grammar(None, calls, "")
    assert len(grammar) < 200_000
    assert Acceptor(grammar).accepts(OTHER.replace('"f"', f'"{many[7].name}"'))
