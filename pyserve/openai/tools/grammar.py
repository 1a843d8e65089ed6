"""Grammar of answers that may hold reasoning and tool calls.

Reasoning and text before a tool call are unconstrained. A call that has begun is well formed, names
an offered function, and its arguments follow their schema.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgspec

from pyserve.errors import InvalidRequestError
from pyserve.openai.structured.json_text import JsonRules
from pyserve.openai.structured.rules import any_of, char_class, literal
from pyserve.openai.tools.arguments import Function, any_object, arguments_expression
from pyserve.openai.tools.formats import CallFormat
from pyserve.openai.tools.free_text import loose, text_until
from pyserve.openai.tools.message_reader import PYTHON_TAG
from pyserve.openai.tools.parts import Thinking
from pyserve.openai.tools.tagged import tagged_arguments
from pyserve.schemas.fields.constraints import MAX_GRAMMAR_BYTES

MAX_CALLS = 32
GAP = "[ \\t\\r\\n]{0,4}"
_SPACE_CODES = [(0x09, 0x0A), (0x0D, 0x0D), (0x20, 0x20)]


class Calls(msgspec.Struct, frozen=True):
    """The tool calls that an answer may have.

    is_required: it is nothing but calls. can_repeat: there may be several.
    """

    format: CallFormat
    functions: Sequence[Function]
    is_required: bool
    can_repeat: bool


def answer_grammar(thinking: Thinking | None, calls: Calls | None, constraint: str) -> str:
    """GBNF for the answers to a request; "": anything.

    constraint: GBNF of the text, when it is no call. Reasoning comes first.
    Raises InvalidRequestError when the schemas of functions cannot be enforced.
    """
    if calls is None:
        return constraint and _grammar(thinking, None, constraint, is_loose=False)
    grammar = _grammar(thinking, calls, constraint, is_loose=False)
    if len(grammar.encode()) > MAX_GRAMMAR_BYTES:
        _refuse_large_strict(calls, len(grammar.encode()))
        grammar = _grammar(thinking, calls, constraint, is_loose=True)
    if len(grammar.encode()) > MAX_GRAMMAR_BYTES:
        _refuse(len(grammar.encode()), "tools")
    return grammar


def _refuse_large_strict(calls: Calls, n_bytes: int) -> None:
    for function in calls.functions:
        if function.is_strict:
            _refuse(n_bytes, function.param)


def _refuse(n_bytes: int, param: str) -> None:
    message = f"{param}: the functions become a grammar of {n_bytes} bytes, at most"
    raise InvalidRequestError(f"{message} {MAX_GRAMMAR_BYTES}", param=param)


def _grammar(
    thinking: Thinking | None, calls: Calls | None, constraint: str, *, is_loose: bool
) -> str:
    if thinking is None and calls is None:
        return constraint
    rules = JsonRules()
    root = rules.reserve_root()
    if calls is None:
        answer = rules.include(constraint)
    else:
        answer = _answer(_Writer(rules, calls, is_loose), constraint)
    must_answer = bool(constraint) or (calls is not None and calls.is_required)
    rules.define(
        root, answer if thinking is None else _thoughtful(rules, thinking, answer, must_answer)
    )
    return rules.text()


def _thoughtful(rules: JsonRules, thinking: Thinking, answer: str, must_answer: bool) -> str:
    answer = rules.add(answer)
    reasoning = text_until(rules, thinking.end, f"{GAP} {answer}", can_end=not must_answer)[0]
    if thinking.is_open:
        return reasoning
    return any_of([f"{GAP} {literal(thinking.begin)} {reasoning}", answer])


def _answer(writer: _Writer, constraint: str) -> str:
    """Calls, or text: constrained by `constraint`, else free up to the first call."""
    rules, calls = writer.rules, writer.calls
    trigger = calls.format.trigger
    run = rules.add(writer.run())
    if calls.is_required:
        return f"{GAP} {literal(trigger)} {run}"
    if constraint:
        return any_of([f"{GAP} {literal(trigger)} {run}", rules.include(constraint)])
    if trigger:
        return text_until(rules, trigger, run, can_end=True)[0]
    states = text_until(rules, PYTHON_TAG, run, can_end=True)
    first = char_class([*_SPACE_CODES, (0x3C, 0x3C), (0x7B, 0x7B)], is_negated=True)
    text = any_of([f"{first} {states[0]}", f"{literal(PYTHON_TAG[0])} {states[1]}", '""'])
    return f"[ \\t\\r\\n]* {any_of([run, text])}"


class _Writer:
    """Writes the GBNF of tool calls."""

    def __init__(self, rules: JsonRules, calls: Calls, is_loose: bool) -> None:
        self.rules = rules
        self.calls = calls
        self._is_loose = is_loose

    def run(self) -> str:
        """Calls without the trigger before the first one."""
        layout, rules = self.calls.format, self.rules
        call = rules.add(any_of(self._call(function) for function in self.calls.functions))
        n_more = MAX_CALLS - 1 if self.calls.can_repeat and layout.can_repeat else 0
        begin, end = loose(rules, layout.before), loose(rules, layout.after)
        if layout.between is not None:
            more = f"({loose(rules, layout.between)} {call}){{0,{n_more}}}" if n_more else ""
            return f"{begin} {call} {more} {end}"
        one = f"{begin} {call} {end}"
        if not n_more:
            return one
        one = rules.add(one)
        return f"{one} ({GAP} {literal(layout.trigger)} {one}){{0,{n_more}}}"

    def _call(self, function: Function) -> str:
        layout, rules = self.calls.format, self.rules
        if layout.kind == "tagged":
            arguments = tagged_arguments(function, layout, rules, is_loose=self._is_loose)
            begin = f"{literal(function.name)} {loose(rules, layout.name_end)}"
            return f"{begin} {arguments} {loose(rules, layout.arguments_end)}"
        arguments = any_object(rules) if self._is_loose else arguments_expression(function, rules)
        if layout.kind == "named":
            return f"{literal(function.name)} {loose(rules, layout.name_end)} {arguments}"
        name = literal(json.dumps(function.name))
        name = f"{literal(json.dumps(layout.name_key))} {rules.colon} {name}"
        arguments = f"{literal(json.dumps(layout.arguments_key))} {rules.colon} {arguments}"
        first, second = (arguments, name) if layout.has_arguments_first else (name, arguments)
        return f'"{{" {rules.space} {first} {rules.comma} {second} {rules.space} "}}"'
