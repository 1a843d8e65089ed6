"""Grammar of answers that may hold reasoning and tool calls.

Reasoning and text before a tool call are unconstrained. A call that has begun is well formed, names
an offered function, and its arguments follow their schema.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache

import msgspec

from pyserve.errors import InvalidRequestError
from pyserve.openai.structured.constraint import MAX_COMPILED_BYTES, place_of
from pyserve.openai.structured.json_text import JsonRules
from pyserve.openai.structured.rules import any_of, char_class, literal
from pyserve.openai.structured.schema import Issue
from pyserve.openai.tools.arguments import (
    Function,
    any_object,
    arguments_expression,
    issues_of,
    with_sorted_keys,
)
from pyserve.openai.tools.formats import HOLE, CallFormat, Channels
from pyserve.openai.tools.free_text import ID, loose, text_until
from pyserve.openai.tools.loose_arguments import loose_arguments, loose_issues
from pyserve.openai.tools.message_reader import PYTHON_TAG
from pyserve.openai.tools.parts import Thinking
from pyserve.openai.tools.tagged import tagged_arguments, tagged_issues

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

    @property
    def unenforced(self) -> tuple[str, ...]:
        """The paths in the request of what their arguments are not held to."""
        return tuple(
            place_of(issue, function.schema_param)
            for function in self.functions
            for issue in _issues(function, self.format)
        )


def _issues(function: Function, layout: CallFormat) -> tuple[Issue, ...]:
    if layout.kind not in ("tagged", "elements", "quoted"):
        return issues_of(function)
    return _issues_of_format(msgspec.json.encode(function), msgspec.json.encode(layout))


@lru_cache(maxsize=256)
def _issues_of_format(function: bytes, layout: bytes) -> tuple[Issue, ...]:
    """Those of the schema, and those that values outside of quotes add."""
    given = msgspec.json.decode(function, type=Function)
    relaxed = msgspec.structs.replace(given, is_strict=False)
    form = msgspec.json.decode(layout, type=CallFormat)
    issues = loose_issues if form.kind == "quoted" else tagged_issues
    return tuple(dict.fromkeys((*issues_of(given), *issues(relaxed, form))))


class Surroundings(msgspec.Struct, frozen=True):
    """What stands around text in an answer: marks before it, or headers of messages."""

    text_begin: str = ""
    channels: Channels | None = None
    is_continued: bool = False


NOTHING_AROUND = Surroundings()


def answer_grammar(
    thinking: Thinking | None,
    calls: Calls | None,
    constraint: str,
    around: Surroundings = NOTHING_AROUND,
) -> str:
    """GBNF for the answers to a request; "": anything.

    constraint: GBNF of the text, when it is no call. Reasoning comes first.
    Raises InvalidRequestError when the schemas of functions cannot be enforced.
    """
    if calls is None:
        return constraint and _grammar(thinking, None, constraint, around, is_loose=False)
    grammar = _grammar(thinking, calls, constraint, around, is_loose=False)
    if len(grammar.encode()) > MAX_COMPILED_BYTES:
        _refuse_large_strict(calls, len(grammar.encode()))
        grammar = _grammar(thinking, calls, constraint, around, is_loose=True)
    if len(grammar.encode()) > MAX_COMPILED_BYTES:
        _refuse(len(grammar.encode()), "tools")
    return grammar


def _refuse_large_strict(calls: Calls, n_bytes: int) -> None:
    for function in calls.functions:
        if function.is_strict:
            _refuse(n_bytes, function.param)


def _refuse(n_bytes: int, param: str) -> None:
    message = f"{param}: the functions become a grammar of {n_bytes} bytes, at most"
    raise InvalidRequestError(f"{message} {MAX_COMPILED_BYTES}", param=param)


def _grammar(
    thinking: Thinking | None,
    calls: Calls | None,
    constraint: str,
    around: Surroundings,
    *,
    is_loose: bool,
) -> str:
    is_bare = around.is_continued or not (around.channels or around.text_begin)
    if thinking is None and calls is None and is_bare:
        return constraint
    rules = JsonRules()
    root = rules.reserve_root()
    writer = None if calls is None else _Writer(rules, calls, is_loose)
    if around.channels is not None:
        is_continued = around.is_continued
        rules.define(
            root, _channeled(rules, around.channels, thinking, writer, constraint, is_continued)
        )
        return rules.text()
    before = f"({GAP} {literal(around.text_begin)})?" if around.text_begin else ""
    if writer is None:
        answer = f"{before} {rules.include(constraint)}"
    else:
        answer = _answer(writer, constraint, before)
    must_answer = bool(constraint) or (calls is not None and calls.is_required)
    rules.define(
        root, answer if thinking is None else _thoughtful(rules, thinking, answer, must_answer)
    )
    return rules.text()


def _channeled(
    rules: JsonRules,
    channels: Channels,
    thinking: Thinking | None,
    writer: _Writer | None,
    constraint: str,
    is_continued: bool,
) -> str:
    """A message of reasoning, maybe, and one of text or of a call."""
    is_required = writer is not None and writer.calls.is_required
    called = [] if writer is None else writer.channel_calls(channels)
    if is_continued and constraint:
        return rules.include(constraint)
    if writer is not None and not (is_required or constraint):
        return writer.free_channels(channels, called)
    text = any_of(literal(header) for header in channels.text_headers)
    told = [*called] if is_required else [*called, f"{text} {rules.include(constraint)}"]
    answer = rules.add(any_of(told))
    if thinking is None:
        return answer
    following = f"{GAP} {literal(channels.next_header)} {answer}"
    thoughts = text_until(rules, thinking.end, following, can_end=False)[0]
    return any_of([f'" "? {literal(thinking.begin)} {thoughts}', answer])


def _thoughtful(rules: JsonRules, thinking: Thinking, answer: str, must_answer: bool) -> str:
    answer = rules.add(answer)
    reasoning = text_until(rules, thinking.end, f"{GAP} {answer}", can_end=not must_answer)[0]
    if thinking.is_open:
        return reasoning
    return any_of([f"{GAP} {literal(thinking.begin)} {reasoning}", answer])


def _answer(writer: _Writer, constraint: str, before: str) -> str:
    """Calls, or text: constrained by `constraint`, else free up to the first call.

    before: the expression for what may stand before constrained text.
    """
    rules, calls = writer.rules, writer.calls
    trigger = calls.format.trigger
    run = rules.add(writer.run())
    if calls.is_required:
        return f"{GAP} {literal(trigger)} {run}"
    if constraint:
        text = f"{before} {rules.include(constraint)}"
        return any_of([f"{GAP} {literal(trigger)} {run}", text])
    if trigger:
        return text_until(rules, trigger, run, can_end=True)[0]
    states = text_until(rules, PYTHON_TAG, run, can_end=True)
    signs = [(ord(sign), ord(sign)) for sign in (PYTHON_TAG[0], calls.format.bare_begin)]
    first = char_class([*_SPACE_CODES, *signs], is_negated=True)
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
        call = rules.add(any_of(self._call(function) for function in self._functions()))
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

    def _functions(self) -> Iterator[Function]:
        """The functions, their parameters in the order in which models write them."""
        for function in self.calls.functions:
            parameters = function.parameters
            if parameters and self.calls.format.has_sorted_keys:
                parameters = with_sorted_keys(parameters)
            yield msgspec.structs.replace(function, parameters=parameters)

    def channel_calls(self, channels: Channels) -> list[str]:
        """The messages that are calls."""
        layout = self.calls.format
        inside = f"{literal(layout.trigger)} {self.run()}" if channels.has_calls_inside else ""
        return [
            f"{literal(header.replace(HOLE, function.name))} {inside or self._arguments(function)}"
            for function in self.calls.functions
            for header in channels.call_headers
        ]

    def free_channels(self, channels: Channels, called: list[str]) -> str:
        """Messages of any kind; those of calls are well formed from where they cannot be others."""
        rules, calls = self.rules, self.calls
        if channels.has_calls_inside:
            return text_until(rules, calls.format.trigger, rules.add(self.run()), can_end=True)[0]
        if not channels.message.strip():
            call = rules.add(any_of(called))
            text = text_until(rules, channels.next_header, call, can_end=True)[0]
            return any_of([call, f"{literal(channels.text_headers[0])} {text}"])
        sign = channels.call_headers[0].partition(HOLE)[0].split()[-1]
        told = [
            f"{literal(function.name)} "
            + text_until(rules, channels.message, self._arguments(function), can_end=False)[0]
            for function in calls.functions
        ]
        return text_until(rules, sign, rules.add(any_of(told)), can_end=True)[0]

    def _arguments(self, function: Function) -> str:
        rules = self.rules
        if self._is_loose:
            return any_object(rules)
        return rules.add(arguments_expression(function, rules))

    def _call(self, function: Function) -> str:
        layout, rules = self.calls.format, self.rules
        name = literal(function.name)
        if layout.kind in ("tagged", "elements"):
            arguments = tagged_arguments(function, layout, rules, is_loose=self._is_loose)
            return f"{name} {loose(rules, layout.name_end)} {arguments}"
        if layout.kind in ("pythonic", "quoted"):
            return f"{name} {loose_arguments(function, layout, rules, is_loose=self._is_loose)}"
        arguments = self._arguments(function)
        if layout.kind == "named":
            return f"{name} {loose(rules, layout.name_end)} {arguments}"
        name = literal(json.dumps(function.name))
        if layout.kind == "keyed":
            return f'"{{" {rules.space} {name} {rules.colon} {arguments} {rules.space} "}}"'
        name = f"{literal(json.dumps(layout.name_key))} {rules.colon} {name}"
        arguments = f"{literal(json.dumps(layout.arguments_key))} {rules.colon} {arguments}"
        first, second = (arguments, name) if layout.has_arguments_first else (name, arguments)
        before = after = ""
        if layout.id_key:
            call_id = f'{literal(json.dumps(layout.id_key))} {rules.colon} "\\"" {ID} "\\""'
            before = "" if layout.has_last_id else f"{call_id} {rules.comma}"
            after = f"({rules.comma} {call_id})?" if layout.has_last_id else ""
        members = f"{before} {first} {rules.comma} {second} {after}"
        return f'"{{" {rules.space} {members} {rules.space} "}}"'
