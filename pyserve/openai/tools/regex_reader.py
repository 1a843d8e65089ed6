"""Finds tool calls in whole answers by the regular expressions of a model's configuration.

The keys are LocalAI's. An answer is searched when it is complete, so a stream has nothing but
reasoning before its end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from pyserve.models.patterns import compiled
from pyserve.models.profile import CallProfile
from pyserve.openai.tools.message_reader import MessageReader
from pyserve.openai.tools.parts import (
    AnswerStyle,
    CallArguments,
    CallBegin,
    Piece,
    Text,
)

_REFERENCE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")


class FoundReader:
    """Reads one answer, as `MessageReader` does. One thread."""

    def __init__(self, style: AnswerStyle, profile: CallProfile) -> None:
        reasoning_only = msgspec.structs.replace(style, calls=None, found=None)
        self._profile = profile
        self._reader = MessageReader(reasoning_only)
        self._text = ""

    @property
    def is_thinking(self) -> bool:
        return self._reader.is_thinking

    def feed(self, text: str) -> list[Piece]:
        """The reasoning in what `text` adds."""
        return self._without_text(self._reader.feed(text))

    def close(self) -> list[Piece]:
        """Ends the answer: its text, and the calls in it."""
        return [*self._without_text(self._reader.close()), *_pieces(self._text, self._profile)]

    def _without_text(self, pieces: Sequence[Piece]) -> list[Piece]:
        self._text += "".join(piece.text for piece in pieces if isinstance(piece, Text))
        return [piece for piece in pieces if not isinstance(piece, Text)]


def _pieces(answer: str, profile: CallProfile) -> Iterator[Piece]:
    text = _replaced(answer, profile.replace_text)
    calls = list(find_calls(text, profile))
    if calls or not text:
        text = "".join(_captured(answer, profile.capture_text))
    if text:
        yield Text(text)
    for name, arguments in calls:
        yield CallBegin(name)
        yield CallArguments(arguments)


def find_calls(answer: str, profile: CallProfile) -> Iterator[tuple[str, str]]:
    """Names and arguments, as JSON, of the tool calls in an answer."""
    answer = _replaced(answer, profile.replace_results)
    if not profile.call_regex:
        found = (list(_captured(answer, [pattern])) for pattern in profile.json_regex)
        for text in next(filter(None, found), [answer]):
            yield from _json_calls(text, profile)
    for pattern in profile.call_regex:
        for match in compiled(pattern).finditer(answer):
            groups = match.groupdict()
            name = groups.get(profile.name_key or "name")
            if name:
                text = groups.get(profile.arguments_key or "arguments") or ""
                yield name, _arguments(text, profile)


def _json_calls(text: str, profile: CallProfile) -> Iterator[tuple[str, str]]:
    """The calls in a text that is JSON: an object, or a list of them."""
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return
    for call in value if isinstance(value, list) else [value]:
        name = call.get(profile.name_key or "name") if isinstance(call, dict) else None
        if isinstance(name, str) and name:
            arguments = call.get(profile.arguments_key or "arguments", {})
            written = arguments if isinstance(arguments, str) else _as_json(arguments)
            yield name, _arguments(written, profile)


def _arguments(text: str, profile: CallProfile) -> str:
    """The arguments as JSON, parsed by argument_regex if there is one."""
    key, value = profile.argument_groups
    found = {
        groups[key]: groups[value]
        for pattern in profile.argument_regex
        for match in compiled(pattern).finditer(text)
        if {key, value} <= (groups := match.groupdict()).keys()
    }
    return _as_json(found) if found else text.strip() or "{}"


def _captured(text: str, patterns: Sequence[str]) -> Iterator[str]:
    """The first group of each match, or the whole match."""
    for pattern in patterns:
        for match in compiled(pattern).finditer(text):
            yield match.group(1 if compiled(pattern).groups else 0) or ""


def _replaced(text: str, replacements: Sequence[tuple[str, str]]) -> str:
    for pattern, by in replacements:
        text = compiled(pattern).sub(lambda match, by=by: _expanded(by, match), text)
    return text


def _expanded(template: str, match: Any) -> str:
    """Expands `$1` and `${name}` as Go does; groups that do not exist are empty."""

    def group(reference: re.Match[str]) -> str:
        name = reference[1] or reference[2]
        try:
            return match.group(int(name) if name.isdecimal() else name) or ""
        except (IndexError, KeyError):
            return ""

    return _REFERENCE.sub(group, template)


def _as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
