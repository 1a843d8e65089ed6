"""Builds GBNF text: rules, literals, character classes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

Ranges = Sequence[tuple[int, int]]  # code points, both ends included

MAX_CODE_POINT = 0x10FFFF
SURROGATES = (0xD800, 0xDFFF)
INCLUDED = "part"
_GBNF_PART = re.compile(
    r'"(?:\\.|[^"\\])*(?:"|\\?\Z)'  # what is not closed reaches to the end
    r"|\[(?:\\.|[^\]\\])*(?:\]|\\?\Z)"
    r"|\{[0-9, ]*\}|#[^\n]*|(?P<name>[A-Za-z0-9_-]+)|.",
    re.DOTALL,
)


class Rules:
    """Collects rules; equal bodies become one rule."""

    def __init__(self) -> None:
        self._bodies: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._included: list[str] = []

    def __len__(self) -> int:
        return len(self._bodies)

    def add(self, body: str) -> str:
        """A reference to a rule with this body."""
        if body not in self._names:
            self._names[body] = self.reserve()
            self._bodies[self._names[body]] = body
        return self._names[body]

    def reserve(self) -> str:
        """A new name; `define` must follow."""
        name = f"r{len(self._bodies)}"
        self._bodies[name] = ""
        return name

    def reserve_root(self) -> str:
        """The name of the rule that all text must follow; `define` must follow."""
        self._bodies["root"] = ""
        return "root"

    def define(self, name: str, body: str) -> None:
        self._bodies[name] = body

    def include(self, grammar: str) -> str:
        """A reference to what the GBNF text `grammar` describes; its rules get other names."""
        prefix = f"{INCLUDED}{len(self._included)}-"
        renamed = [
            prefix + found.group() if found.lastgroup == "name" else found.group()
            for found in _GBNF_PART.finditer(grammar)
        ]
        self._included.append("".join(renamed) + "\n")
        return f"{prefix}root"

    def text(self) -> str:
        own = [f"{name} ::= {body}\n" for name, body in self._bodies.items()]
        return "".join([*own, *self._included])


def literal(text: str) -> str:
    """The expression that matches `text` and nothing else."""
    return '"' + "".join(_escaped(char, '"\\') for char in text) + '"'


def char_class(ranges: Ranges, *, is_negated: bool = False) -> str:
    """The expression that matches one of these characters; with `is_negated` any other one."""
    parts = []
    for low, high in without_surrogates(ranges):
        parts.append(_class_char(low) + (f"-{_class_char(high)}" if high > low else ""))
    return f"[{'^' if is_negated else ''}{''.join(parts)}]"


def without_surrogates(ranges: Ranges) -> list[tuple[int, int]]:
    """The ranges without code points that are no characters."""
    low_end, high_end = SURROGATES
    kept = []
    for low, high in ranges:
        kept.append((low, min(high, low_end - 1)))
        kept.append((max(low, high_end + 1), high))
    return [
        (low, high)
        for i, (low, high) in enumerate(kept)
        if low <= high and (low, high) not in kept[:i]
    ]


def complement(ranges: Ranges) -> list[tuple[int, int]]:
    """The ranges of all other code points."""
    rest, following = [], 0
    for low, high in sorted(ranges):
        if low > following:
            rest.append((following, low - 1))
        following = max(following, high + 1)
    if following <= MAX_CODE_POINT:
        rest.append((following, MAX_CODE_POINT))
    return rest


def any_of(expressions: Iterable[str]) -> str:
    """One of several expressions, in parentheses."""
    return f"({' | '.join(expressions)})"


def repeated(expression: str, low: int, high: int | None) -> str:
    """`low` to `high` times; None: no limit."""
    return f"({expression}){{{low},{'' if high is None else high}}}"


def _escaped(char: str, special: str) -> str:
    if char in special:
        return "\\" + char
    return char if char.isprintable() else _code(ord(char))


def _class_char(code: int) -> str:
    if chr(code).isascii() and chr(code).isalnum():
        return chr(code)
    return _code(code)


def _code(code: int) -> str:
    return f"\\U{code:08X}"
