"""GBNF of the tool calls that an answer may have, by their format."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache

import msgspec

from pyserve.openai.structured.constraint import place_of
from pyserve.openai.structured.json_text import JsonRules
from pyserve.openai.structured.rules import any_of, literal
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
from pyserve.openai.tools.loose_calls import Opening
from pyserve.openai.tools.object_calls import ARGUMENTS_KEYS
from pyserve.openai.tools.tagged import tagged_arguments, tagged_issues

MAX_CALLS = 32
MAX_OPENING_CHARS = 10_000  # of the names of all functions
GAP = "[ \\t\\r\\n]{0,4}"


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


class CallWriter:
    """Writes the GBNF of tool calls. One thread.

    is_loose: arguments are any. holds_unmarked: calls without their mark are held, too.
    """

    def __init__(
        self, rules: JsonRules, calls: Calls, is_loose: bool, holds_unmarked: bool
    ) -> None:
        self.rules = rules
        self._holds_unmarked = holds_unmarked
        self.calls = calls
        self._is_loose = is_loose
        self._written: dict[str, str] = {}  # the expressions for arguments, by function
        self._one_call: str | None = None

    def run(self, begun: str = "") -> str:
        """Calls without the trigger before the first one. begun: the begin of it that is there."""
        layout, rules = self.calls.format, self.rules
        call = self._any_call()
        before = layout.before.lstrip().removeprefix(begun) if begun else layout.before
        begin, end = loose(rules, before), loose(rules, layout.after)
        if layout.between is not None:
            more = f"({loose(rules, layout.between)} {call}){{0,{self._n_more}}}"
            return f"{begin} {call} {more if self._n_more else ''} {end}"
        one = f"{begin} {call} {end}"
        if not self._n_more:
            return one
        next_one = rules.add(f"{loose(rules, layout.before)} {call} {end}")
        return f"{one} ({GAP} {literal(layout.trigger)} {next_one}){{0,{self._n_more}}}"

    @property
    def _n_more(self) -> int:
        """How many calls may follow the first."""
        return MAX_CALLS - 1 if self.calls.can_repeat and self.calls.format.can_repeat else 0

    def _any_call(self) -> str:
        if self._one_call is None:
            calls = any_of(self._call(function) for function in self._functions())
            self._one_call = self.rules.add(calls)
        return self._one_call

    def begins(self) -> dict[str, str]:
        """The mark that begins each call, with what follows it where the run has no trigger."""
        layout = self.calls.format
        mark = layout.begin
        if not mark:
            return {}
        if layout.trigger.startswith(mark):
            mark = layout.before.strip().partition(HOLE)[0]
        return {mark: self.rules.add(self.run(mark))}

    def opening(self) -> Opening | None:
        """What begins calls without their mark; None: nothing does, or it takes too many rules."""
        layout = self.calls.format
        n_chars = sum(len(function.name) for function in self.calls.functions)
        is_held = self._holds_unmarked and n_chars <= MAX_OPENING_CHARS
        if not is_held or not (layout.loose_begins or layout.opening):
            return None
        if layout.kind == "object":
            keys = list(dict.fromkeys((layout.arguments_key, *ARGUMENTS_KEYS)))
            name_end, tells = '"', [f',"{key}"' for key in keys]
            shown = [json.dumps(key) for key in keys]
        else:
            name_end, shown = layout.name_end.strip(), []
            tells = [layout.key_begin, layout.arguments_end.strip().partition(">")[0] + ">", "{"]
        signs: dict[str, list[str]] = {sign: [""] for sign in layout.loose_begins}
        if layout.opening:
            lists = [layout.opening, f"[{layout.opening}"]
            signs = dict.fromkeys(layout.other_marks, lists)
            if not layout.trigger:
                signs |= {layout.opening[0]: [layout.opening[1:]]}
        more = self._more()
        calls = {one.name: f"{self._rest(one, shown)} {more}" for one in self._functions()}
        return Opening(signs, name_end, calls, tells)

    def _rest(self, function: Function, keys: Sequence[str]) -> str:
        """A call from the end of its name on. keys: of arguments, in an object."""
        rules, arguments = self.rules, self._arguments(function)
        if not keys:
            return f"{rules.space} {arguments}"
        key = any_of(map(literal, keys))
        members = f"{rules.space} {rules.comma} {key} {rules.space} {rules.colon} {arguments}"
        call_id = self._call_id()
        last_id = f"({rules.comma} {call_id})?" if call_id else ""
        return f'{members} {last_id} {rules.space} "}}"'

    def _more(self) -> str:
        """What may follow a call without a mark: others, and the end of a run."""
        layout, rules = self.calls.format, self.rules
        ends = [layout.after.strip(), *layout.other_marks.values()]
        shown = [loose(rules, end) for end in dict.fromkeys(ends) if end]
        shown += [literal("]")] if layout.opening else []
        end = f"({GAP} {any_of(shown)}){{0,2}}" if shown else ""
        more = ""
        if self._n_more and layout.between is not None:
            more = f"({rules.space} {loose(rules, layout.between.lstrip())} {self._any_call()})"
        elif self._n_more:
            begin = f"({literal(layout.trigger)})?" if layout.trigger else "[,;]?"
            before = loose(rules, layout.before.strip())
            more = f"({GAP} {begin} {GAP} {before} {self._any_call()} {end})"
        more = f"{more}{{0,{self._n_more}}}" if more else ""
        is_run = layout.between is not None or not layout.trigger
        parts = (more, end) if is_run else (end, more)
        return rules.add(" ".join(parts)) if any(parts) else '""'

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
        """The arguments, with what is around them in formats that are no JSON."""
        if function.name not in self._written:
            self._written[function.name] = self.rules.add(self._new_arguments(function))
        return self._written[function.name]

    def _new_arguments(self, function: Function) -> str:
        layout, rules = self.calls.format, self.rules
        if layout.kind in ("tagged", "elements"):
            return tagged_arguments(function, layout, rules, is_loose=self._is_loose)
        if layout.kind in ("pythonic", "quoted"):
            return loose_arguments(function, layout, rules, is_loose=self._is_loose)
        if self._is_loose:
            return any_object(rules)
        return arguments_expression(function, rules)

    def _call_id(self) -> str:
        """A member with the id of a call, in formats that have one."""
        layout = self.calls.format
        key = literal(json.dumps(layout.id_key))
        return f'{key} {self.rules.colon} "\\"" {ID} "\\""' if layout.id_key else ""

    def _call(self, function: Function) -> str:
        layout, rules = self.calls.format, self.rules
        name, arguments = literal(function.name), self._arguments(function)
        if layout.kind in ("tagged", "elements"):
            return f"{name} {loose(rules, layout.name_end)} {arguments}"
        if layout.kind in ("pythonic", "quoted"):
            return f"{name} {arguments}"
        if layout.kind == "named":
            return f"{name} {loose(rules, layout.name_end)} {arguments}"
        name = literal(json.dumps(function.name))
        if layout.kind == "keyed":
            return f'"{{" {rules.space} {name} {rules.colon} {arguments} {rules.space} "}}"'
        name = f"{literal(json.dumps(layout.name_key))} {rules.colon} {name}"
        arguments = f"{literal(json.dumps(layout.arguments_key))} {rules.colon} {arguments}"
        first, second = (arguments, name) if layout.has_arguments_first else (name, arguments)
        before = after = ""
        if call_id := self._call_id():
            before = "" if layout.has_last_id else f"{call_id} {rules.comma}"
            after = f"({rules.comma} {call_id})?" if layout.has_last_id else ""
        members = f"{before} {first} {rules.comma} {second} {after}"
        return f'"{{" {rules.space} {members} {rules.space} "}}"'
