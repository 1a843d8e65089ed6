"""Strings that record which of their characters users wrote.

Such characters are never read as control tokens, whatever a template does with them. Plain `str`
is text of templates and operators.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Run = tuple[str, bool]  # a text, and whether users wrote it


class Marked(str):
    """A string made of runs. Equal to its text."""

    __slots__ = ("runs",)
    runs: tuple[Run, ...]

    def cut(self, begin: int, end: int) -> Marked:
        """The characters [begin, end), each as it was."""
        runs: list[Run] = []
        pos = 0
        for text, is_input in self.runs:
            part = text[max(begin - pos, 0) : max(end - pos, 0)]
            if part:
                runs.append((part, is_input))
            pos += len(text)
        return joined(runs)


def joined(runs: Iterable[Run]) -> Marked:
    """Joins runs; neighbours of one kind become one run, empty ones are dropped."""
    merged: list[tuple[list[str], bool]] = []
    for text, is_input in runs:
        if not text:
            continue
        if merged and merged[-1][1] == is_input:
            merged[-1][0].append(text)
        else:
            merged.append(([text], is_input))
    whole = tuple(("".join(texts), is_input) for texts, is_input in merged)
    marked = Marked("".join(text for text, _ in whole))
    marked.runs = whole
    return marked


def user_text(text: str) -> Marked:
    """A string that users wrote."""
    return joined([(text, True)])


def runs_of(text: str) -> tuple[Run, ...]:
    """The runs of any string."""
    if isinstance(text, Marked):
        return text.runs
    return ((str(text), False),) if text else ()


def all_marked(value: Any) -> Any:
    """A value of strings, lists and maps, in which all strings are users'."""
    if isinstance(value, str):
        return user_text(str(value))
    if isinstance(value, Mapping):
        return {all_marked(key): all_marked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [all_marked(item) for item in value]
    return value


def is_marked(value: object) -> bool:
    """Whether a value of strings, lists and maps holds text that users wrote."""
    if isinstance(value, Marked):
        return any(is_input for _, is_input in value.runs)
    if isinstance(value, dict):
        return any(is_marked(key) or is_marked(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return any(is_marked(item) for item in value)
    return False
