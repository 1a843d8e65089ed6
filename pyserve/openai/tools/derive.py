"""Derives the format of a model's answers from its chat template, by rendering probes.

What a template makes of earlier answers is what it wants the model to write. Renderings that differ
in one thing are compared: with a call and with two, with text before the call, with thoughts.
What is found is tried on the renderings: it must read the calls that they hold.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from pyserve.openai.tools.call_shapes import Shape, common_begin, find_shape, type_word
from pyserve.openai.tools.formats import HOLE, AnswerFormat, CallFormat, control_marks
from pyserve.openai.tools.message_reader import MessageReader
from pyserve.openai.tools.parts import AnswerStyle, CallArguments, CallBegin, Text
from pyserve.openai.tools.probes import (
    AGAIN,
    ARGUMENTS,
    IDS,
    KEYS,
    NAMED_ID,
    NAMES,
    NOT_THINKING,
    OTHER_IDS,
    RESULT,
    SAID,
    TEXT,
    THINKING,
    THOUGHT,
    TYPED,
    Prober,
)
from pyserve.openai.tools.value_types import TEXT as TEXT_TYPE
from pyserve.openai.tools.value_types import ValueTypes

Tags = tuple[str, str]
_SECOND = ARGUMENTS[1][KEYS[0]]
_TOKEN = re.compile(
    r"\]<\][a-z]+\[>\[<[^<>]*>?|<[^<>]*>?|\[/?[A-Z_]+\]|\s+|[^\s<\[{]+|.", re.DOTALL
)
_TAG = re.compile(r"\s*(<[^<>]*>|\[/?[A-Z_ ]+\])")
_LAST_TAG = re.compile(r"((?:<[^<>]*>|\[/?[A-Z_ ]+\])\w*)\s*\Z")
_ANY_TAG = re.compile(r"<[^<>]*>|\[/?[A-Z_]+\]")
_NAMED_TAG = re.compile(r"<[a-z]+_[a-z_]+>")
_MARKED = re.compile(r"[<\[`]")
_WORD = re.compile(r"[\w:]+")
_NUMBER = re.compile(r"\d+")


class _Told(msgspec.Struct, frozen=True):
    """A rendering, and the calls in it."""

    text: str
    calls: list[Shape]

    @property
    def before(self) -> str:
        return self.text[: self.calls[0].begin]

    @property
    def between(self) -> str:
        return self.text[self.calls[0].end : self.calls[1].begin]

    @property
    def after(self) -> str:
        return self.text[self.calls[-1].end :]


def derive(prober: Prober, tags: Tags | None) -> AnswerFormat | None:
    """The format of a template; None: it shows no calls, or in a way that is not understood.

    tags: the reasoning tags that its text names.
    """
    if prober.prompt({}) is None and prober.prompt(THINKING) is None:
        return None
    found = _Derivation(prober, tags).answer_format()
    return found or _Derivation(prober.with_named_ids(), tags).answer_format()


def derived_thinking(prober: Prober, tags: Tags | None) -> Tags | None:
    """The tags around thoughts alone."""
    if prober.prompt({}) is None:
        return tags
    return _Derivation(prober, tags).thinking


class _Derivation:
    def __init__(self, prober: Prober, tags: Tags | None) -> None:
        self._prober = prober
        prompts = [prober.prompt(variables) for variables in ({}, THINKING, NOT_THINKING)]
        self._prompts = [prompt for prompt in prompts if prompt is not None]
        said = prober.said({}) or ""
        found = SAID in said
        self._before_said, _, after = said.partition(SAID) if found else ("", "", "")
        self._turn_end = after.partition(AGAIN)[0]
        starts = [*self._prompts, self._before_said] if found else self._prompts
        self._base = _to_mark_end(starts)
        self.thinking = self._thinking() or tags

    def answer_format(self) -> AnswerFormat | None:
        found = self._calls({}) or self._calls(THINKING)
        if found is None:
            return None
        text_begin, marks = self._text_marks()
        stops = self._stops(found)
        is_repeated = self.thinking is not None and bool(control_marks(self.thinking[0]))
        return AnswerFormat(
            name=found.name,
            origin="derived",
            calls=found,
            thinking=self.thinking,
            is_repeated=is_repeated,
            text_begin=text_begin,
            marks=(*marks, *stops),
            stops=stops,
        )

    def _thinking(self) -> Tags | None:
        prober = self._prober
        for text in (
            prober.called(1, THINKING, thoughts=THOUGHT),
            prober.said(THINKING, thoughts=True),
        ):
            if text is None or THOUGHT not in text:
                continue
            before, _, after = text.partition(THOUGHT)
            begin, end = _LAST_TAG.search(before), _TAG.match(after)
            if begin and end and not self._before_said.rstrip().endswith(begin[1]):
                return begin[1], end[1]
        return None

    def _text_marks(self) -> tuple[str, tuple[str, ...]]:
        """What stands before text that begins an answer, and all marks around it."""
        if not self._before_said or not self._prompts:
            return "", ()
        before = self._without_thoughts(self._before_said)
        prompt = min(map(self._without_thoughts, self._prompts), key=len)
        begin = before.removeprefix(prompt).strip()
        if not before.startswith(prompt) or not control_marks(begin):
            return "", ()
        return begin, tuple(dict.fromkeys((begin, *control_marks(begin, self._turn_end))))

    def _stops(self, calls: CallFormat) -> tuple[str, ...]:
        """What begins a result in the turn of the call, so that the turn has no end of its own."""
        one = self._told(1, {})
        if one is None:
            return ()
        end = calls.arguments_end + calls.after
        follows = _ANY_TAG.match(one.after.removeprefix(end))
        if not one.after.startswith(end) or not follows or follows[0] in self._turn_end:
            return ()
        return (
            (follows[0],) if control_marks(follows[0]) or _NAMED_TAG.fullmatch(follows[0]) else ()
        )

    def _calls(self, variables: dict[str, Any]) -> CallFormat | None:
        one = self._told(1, variables)
        if one is None:
            return None
        two = self._told(2, variables)
        shape = one.calls[0]
        core = self._core(one, variables)
        tail = self._tail(one, variables)
        between = two.between if two is not None else None
        fields: dict[str, Any] = dict(shape.fields)
        if shape.kind in ("tagged", "elements"):
            end = _arguments_end(tail, between)
            fields["arguments_end"] = end
            tail = tail[len(end) :]
            between = between[len(end) :] if between is not None else None
        trigger, before = self._trigger(core)
        if between is not None and _bare(between).endswith(_bare(core)):
            tail = between[: between.rindex(core.strip())].rstrip()
            between = None
        fields |= {"trigger": trigger, "before": before, "between": between, "after": tail}
        name = " ".join(_WORD.findall(trigger)) or shape.kind
        calls = CallFormat(name=name, kind=shape.kind, can_repeat=two is not None, **fields)
        calls = self._with_types(_with_holes(calls, two), variables)
        if any(self._prober.called(1, variables, ids=(one, one)) is None for one in OTHER_IDS):
            calls = msgspec.structs.replace(calls, has_short_ids=True)
        if two is None and _SECOND not in (self._prober.called(2, variables) or ""):
            calls = msgspec.structs.replace(calls, has_one_call=True)
        swapped = {KEYS[1]: _SECOND, KEYS[0]: TEXT}
        told = self._prober.called(1, variables, arguments=swapped) or ""
        if 0 <= told.find(KEYS[0]) < told.find(KEYS[1]):
            calls = msgspec.structs.replace(calls, has_sorted_keys=True)
        if self._prober.wants_names(variables):
            calls = msgspec.structs.replace(calls, has_named_results=True)
        is_right = all(_reads(calls, core, told) for told in (one, two) if told is not None)
        return calls if is_right else None

    def _told(self, n_calls: int, variables: dict[str, Any], text: str = "") -> _Told | None:
        return _found(self._prober.called(n_calls, variables, text=text), n_calls)

    def _core(self, one: _Told, variables: dict[str, Any]) -> str:
        """What the model writes before the first call, if it neither thinks nor says anything."""
        told = self._told(1, variables, text=SAID)
        if told is not None and SAID in told.before:
            core = told.before.rpartition(SAID)[2]
        else:
            core = one.before.removeprefix(self._start(one.before))
        return self._without_thoughts(core).lstrip()

    def _start(self, before: str) -> str:
        """What a prompt has of `before`, which stands between a question and a call."""
        for starts in (self._prompts, [self._before_said], [self._base]):
            found = [_shared(before, start) for start in starts if start]
            if any(found):
                return max(found, key=len)
        return ""

    def _tail(self, one: _Told, variables: dict[str, Any]) -> str:
        """What the model writes after the last call."""
        asked = _found(self._prober.called_and_asked(variables), 1)
        tail = one.after.partition(RESULT)[0] if asked is None else asked.after.partition(AGAIN)[0]
        is_whole = bool(self._turn_end) and tail.endswith(self._turn_end)
        tail = tail.removesuffix(self._turn_end)
        cuts = [tail.find(mark) for mark in _ANY_TAG.findall(self._turn_end) if mark in tail]
        tail = tail[: min(cuts)] if cuts else tail
        return tail.rstrip() if is_whole or cuts else "".join(_marks_before(tail))

    def _trigger(self, core: str) -> tuple[str, str]:
        """`core` as what begins a run of calls and cannot be text, and the rest of it."""
        if not core or (core[0] in "{[" and not control_marks(core[:32])):
            return "", core
        told = f"{self._before_said}{SAID}{self._turn_end}{''.join(self._prompts)}"
        taken = ""
        for token in _TOKEN.findall(core):
            taken += token
            if token.strip() and taken not in told and _MARKED.search(taken):
                break
        return taken, core[len(taken) :]

    def _with_types(self, calls: CallFormat, variables: dict[str, Any]) -> CallFormat:
        """The words for types, where keys have such."""
        if HOLE not in calls.key_end:
            return calls
        types: dict[str, str] = {}
        for kind, value in TYPED.items():
            text = self._prober.called(1, variables, arguments={KEYS[0]: TEXT, KEYS[1]: value})
            if text and (word := type_word(text, KEYS[1], calls.key_end)):
                types[kind] = word
            if text and value == TEXT and (word := type_word(text, KEYS[0], calls.key_end)):
                types[kind] = word
        return msgspec.structs.replace(calls, types=types)

    def _without_thoughts(self, text: str) -> str:
        """Without thoughts at its end or begin that are empty or open."""
        if self.thinking is None:
            return text
        begin, end = map(re.escape, self.thinking)
        around = rf"(?:{begin}\s*{end}|{begin}|{end})"
        text = re.sub(rf"\A\s*{around}\s*", "", text)
        return re.sub(rf"{around}\s*\Z", "", text)


def _found(text: str | None, n_calls: int) -> _Told | None:
    shapes: list[Shape] = []
    for name, arguments in zip(NAMES[:n_calls], ARGUMENTS, strict=False):
        start = shapes[-1].end if shapes else 0
        shape = text and find_shape(text, name, arguments, start)
        if not shape:
            return None
        shapes.append(shape)
    return _Told(text or "", shapes)


def _arguments_end(tail: str, between: str | None) -> str:
    """What ends the arguments of a call, whether another call follows or none."""
    if between is not None:
        return _to_mark_end([tail, between])
    found = _TAG.match(tail)
    return found[0] if found else tail


def _with_holes(calls: CallFormat, two: _Told | None) -> CallFormat:
    """The format with holes in place of ids and numbers."""
    fields: dict[str, Any] = {}
    for name in ("before", "between", "name_end"):
        text = getattr(calls, name)
        for call_id in IDS:
            text = text and text.replace(call_id, HOLE)
        fields[name] = text
    if two is not None and calls.kind != "object" and HOLE not in (fields["name_end"] or ""):
        own, other = (
            two.text[call.begin + len(name) :][: len(calls.name_end)]
            for call, name in zip(two.calls, NAMES, strict=True)
        )
        if own != other and _NUMBER.sub(HOLE, own) == _NUMBER.sub(HOLE, other):
            fields["name_end"] = _NUMBER.sub(HOLE, own)
            fields["has_named_ids"] = (calls.trigger + calls.before).endswith(NAMED_ID)
    return msgspec.structs.replace(calls, **fields)


def _reads(calls: CallFormat, core: str, told: _Told) -> bool:
    """Whether the format reads the calls that were told, and nothing before them."""
    types: ValueTypes = {(name, KEYS[0]): TEXT_TYPE for name in NAMES}
    reader = MessageReader(AnswerStyle(None, calls, types))
    written = core + told.text[told.calls[0].begin :].partition(RESULT)[0]
    found: list[list[str]] = []
    for piece in [*reader.feed(written), *reader.close()]:
        if isinstance(piece, CallBegin):
            found.append([piece.name, ""])
        elif isinstance(piece, CallArguments):
            found[-1][1] += piece.text
        elif isinstance(piece, Text) and not found:
            return False
    try:
        read = [(name, json.loads(arguments)) for name, arguments in found]
    except ValueError:
        return False
    wanted = list(zip(NAMES, ARGUMENTS, strict=True))[: len(told.calls)]
    return read == wanted or (calls.kind in ("quoted", "pythonic") and read == _as_texts(wanted))


def _as_texts(calls: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
    """The calls with all values in quotes, as some templates write them."""
    return [(name, {key: str(given[key]) for key in given}) for name, given in calls]


def _to_mark_end(texts: list[str]) -> str:
    """What all `texts` begin with, without a part of a mark at its end."""
    shared = common_begin(texts)
    begun = shared.rfind("<")
    if begun >= 0 and ">" not in shared[begun:]:
        shared = shared[:begun]
    return re.sub(r"\]<\][a-z]+\[>\[\Z", "", shared)


def _shared(text: str, start: str) -> str:
    """What `text` begins with that is `start`, whatever white space ends it; "": it does not."""
    if text.startswith(start):
        return start
    words = start.rstrip()
    rest = text.removeprefix(words)
    is_whole = bool(words) and text.startswith(words) and rest[:1].isspace()
    return text[: len(text) - len(rest.lstrip())] if is_whole else ""


def _marks_before(text: str) -> list[str]:
    """The closing marks that `text` begins with, and the white space before each."""
    marks: list[str] = []
    at = 0
    for found in re.finditer(r"\s*(?:[\]})]+|`+|<[^<>]*>|\[/?[A-Z_]+\])", text):
        if found.start() != at:
            break
        marks.append(found[0])
        at = found.end()
    return marks


def _bare(text: str) -> str:
    return "".join(text.split())
