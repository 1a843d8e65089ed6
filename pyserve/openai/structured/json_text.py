"""GBNF for JSON: any value, strings of given characters.

Strings never hold escapes of surrogates, so that every text is valid Unicode; numbers are short
enough to be finite.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pyserve.openai.structured.rules import Ranges, Rules, any_of, char_class, complement, literal

SPACE = '(| " " | "\\n" [ \\t]{0,20})'
INTEGER = '("-"? ("0" | [1-9] [0-9]{0,15}))'
NUMBER = f'({INTEGER} ("." [0-9]{{1,16}})? ([eE] [-+]? [0-9]{{1,2}})?)'
BOOLEAN = '("true" | "false")'
NULL = '"null"'
_NOT_PLAIN = [(0, 0x1F), (0x22, 0x22), (0x5C, 0x5C), (0x7F, 0x7F)]
_ESCAPES = {0x22: '"', 0x5C: "\\", 0x08: "b", 0x0C: "f", 0x0A: "n", 0x0D: "r", 0x09: "t"}
_UNICODE_ESCAPE = '"u" ([0-9a-cA-CefEF] [0-9a-fA-F]{3} | [dD] [0-7] [0-9a-fA-F]{2})'
CHAR = f'({char_class(_NOT_PLAIN, is_negated=True)} | "\\\\" (["\\\\/bfnrt] | {_UNICODE_ESCAPE}))'


def quoted(expression: str) -> str:
    """A string whose text, as it stands between the quotes, is `expression`."""
    return f'"\\"" {expression} "\\""'


def json_char(ranges: Ranges) -> str | None:
    """One of these characters as it stands in a JSON string; None if there is none."""
    inside = [
        (max(low, plain_low), min(high, plain_high))
        for low, high in ranges
        for plain_low, plain_high in complement(_NOT_PLAIN)
        if low <= plain_high and plain_low <= high
    ]
    parts = [char_class(inside)] if inside else []
    for code, letter in _ESCAPES.items():
        if any(low <= code <= high for low, high in ranges):
            parts.append(literal("\\" + letter))
    if not parts:  # characters that are written by their numbers alone
        parts = [
            literal(f"\\u{code:04x}")
            for code in (*range(0x20), 0x7F)
            if any(low <= code <= high for low, high in ranges)
        ]
    return any_of(parts) if parts else None


def constant(value: Any) -> str:
    """The JSON text of `value`, as `json.dumps` writes it."""
    return literal(json.dumps(value, ensure_ascii=False, allow_nan=False))


class JsonRules(Rules):
    """Rules with the expressions that all JSON needs."""

    def __init__(self) -> None:
        super().__init__()
        self.space = self.add(SPACE)
        self.char = self.add(CHAR)
        self.string = self.add(quoted(f"{self.char}*"))
        self.number = self.add(NUMBER)
        self._value: str | None = None

    def value(self) -> str:
        """Any JSON value."""
        if self._value is None:
            self._value = self.reserve()
            parts = [self.object(), self.array(), self.string, self.number, BOOLEAN, NULL]
            self.define(self._value, any_of(parts))
        return self._value

    def object(self, key: str | None = None, value: str | None = None) -> str:
        """An object; `key` and `value` are those of its members, absent: any."""
        return self.add(braced(self, f"({self.members(key, value)})?"))

    def members(self, key: str | None, value: str | None) -> str:
        """One or more members."""
        member = self.add(f"{key or self.string} {self.colon} {value or self.value()}")
        return f"{member} ({self.comma} {member})*"

    def array(self) -> str:
        return self.add(bracketed(self, f"({self.value()} ({self.comma} {self.value()})*)?"))

    @property
    def colon(self) -> str:
        return f'":" {self.space}'

    @property
    def comma(self) -> str:
        return f'"," {self.space}'


def braced(rules: JsonRules, inside: str) -> str:
    return f'"{{" {rules.space} {inside} {rules.space} "}}"'


def bracketed(rules: JsonRules, inside: str) -> str:
    return f'"[" {rules.space} {inside} {rules.space} "]"'


def other_key(rules: JsonRules, names: Iterable[str]) -> str:
    """A key that is none of `names`; without escapes, which could spell one of them."""
    plain = [name for name in names if not any(_needs_escape(char) for char in name)]
    return quoted(_other_text(rules, plain))


def _needs_escape(char: str) -> bool:
    return any(low <= ord(char) <= high for low, high in _NOT_PLAIN)


def _other_text(rules: JsonRules, names: list[str]) -> str:
    """A text that is none of `names`, without quotes: it diverges from the trie of names."""
    any_char = char_class(_NOT_PLAIN, is_negated=True)
    branches: dict[str, list[str]] = {}
    for name in names:
        if name:
            branches.setdefault(name[0], []).append(name[1:])
    parts = [] if "" in names else ['""']
    for char, rests in branches.items():
        parts.append(f"{literal(char)} {_other_text(rules, rests)}")
    outside = [*_NOT_PLAIN, *((ord(char), ord(char)) for char in branches)]
    parts.append(f"{char_class(outside, is_negated=True)} {any_char}*")
    return rules.add(any_of(parts))
