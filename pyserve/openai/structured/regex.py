"""Regular expressions to GBNF: the regular part of the syntax, anchored at both ends.

Literals, escapes, classes, groups, alternatives, bounded and unbounded repetitions. Everything
else (look-around, back-references, word boundaries, flags, possessive quantifiers) is refused.
Classes such as \\d and \\w hold ASCII, as in ECMA-262.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pyserve.openai.structured.json_text import json_char
from pyserve.openai.structured.rules import any_of, char_class, complement

MAX_REPEAT = 1000
MAX_REGEX_CHARS = 4096
MAX_DEPTH = 32

Span = tuple[int, int]
_DIGITS = [(0x30, 0x39)]
_WORD = [(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)]
_SPACE = [(0x09, 0x0D), (0x20, 0x20)]
_LINE_ENDS = [(0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029)]
_CLASSES = {"d": _DIGITS, "w": _WORD, "s": _SPACE}
_CONTROLS = {"t": 0x09, "n": 0x0A, "r": 0x0D, "f": 0x0C, "v": 0x0B}
_HEX_DIGITS = {"x": 2, "u": 4}


class UnsupportedRegexError(ValueError):
    """The expression cannot be enforced, or is malformed; the message follows its field's name."""


def json_pattern(pattern: str) -> str:
    """The text of a JSON string, without quotes, that `pattern` allows. It must be ^anchored$."""
    if not pattern.startswith("^") or not _ends_with_anchor(pattern):
        raise UnsupportedRegexError("must begin with ^ and end with $")
    return _Parser(pattern[1:-1], json_char).parse()


def plain_regex(pattern: str) -> str:
    """A text that `pattern` matches from its beginning to its end; ^ and $ may be left out."""
    begin = 1 if pattern.startswith("^") else 0
    end = len(pattern) - (1 if _ends_with_anchor(pattern) else 0)
    is_anchored = begin == 1 or end < len(pattern)
    return _Parser(pattern[begin:end], _raw_char, is_anchored=is_anchored).parse()


def _ends_with_anchor(pattern: str) -> bool:
    """Whether the pattern ends with a $ that is not escaped."""
    n_backslashes = len(pattern[:-1]) - len(pattern[:-1].rstrip("\\"))
    return pattern.endswith("$") and n_backslashes % 2 == 0


def _raw_char(ranges: Sequence[Span]) -> str | None:
    return char_class(ranges) if ranges else None


class _Parser:
    def __init__(
        self,
        pattern: str,
        char: Callable[[Sequence[Span]], str | None],
        *,
        is_anchored: bool = True,
    ) -> None:
        self._text = pattern
        self._char = char
        self._is_anchored = is_anchored
        self._pos = 0

    def parse(self) -> str:
        if len(self._text) > MAX_REGEX_CHARS:
            raise self._error(f"has {len(self._text)} characters, at most {MAX_REGEX_CHARS}")
        alternatives = self._alternatives(0)
        if self._pos < len(self._text):
            raise self._error("has a parenthesis that was never opened")
        if len(alternatives) > 1 and self._is_anchored:
            raise self._error("needs parentheses around its alternatives: ^(a|b)$")
        return any_of(alternatives)

    def _error(self, message: str) -> UnsupportedRegexError:
        return UnsupportedRegexError(message)

    def _peek(self) -> str:
        return self._text[self._pos : self._pos + 1]

    def _take(self, text: str) -> bool:
        if not self._text.startswith(text, self._pos):
            return False
        self._pos += len(text)
        return True

    def _next(self) -> str:
        if self._pos >= len(self._text):
            raise self._error("ends too early")
        self._pos += 1
        return self._text[self._pos - 1]

    def _alternatives(self, depth: int) -> list[str]:
        if depth > MAX_DEPTH:
            raise self._error(f"has groups nested more than {MAX_DEPTH} deep")
        alternatives = [self._sequence(depth)]
        while self._take("|"):
            alternatives.append(self._sequence(depth))
        return alternatives

    def _sequence(self, depth: int) -> str:
        parts = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._quantified(self._item(depth)))
        return " ".join(parts) or '""'

    def _item(self, depth: int) -> str:
        char = self._next()
        if char == "(":
            if self._take("?") and not self._take(":"):
                raise self._error("has look-around, flags or named groups")
            group = any_of(self._alternatives(depth + 1))
            if not self._take(")"):
                raise self._error("has a parenthesis that is never closed")
            return group
        if char in "^$":
            raise self._error(f"has {char} in its middle")
        if char in "*+?{":
            raise self._error("repeats nothing")
        if char == "[":
            return self._emit(self._class())
        if char == ".":
            return self._emit(complement(_LINE_ENDS))
        return self._emit(self._escape() if char == "\\" else [(ord(char), ord(char))])

    def _emit(self, ranges: Sequence[Span]) -> str:
        expression = self._char(ranges)
        if expression is None:
            raise self._error("has a class without any character that the text can have")
        return expression

    def _escape(self) -> list[Span]:
        char = self._next()
        if char.lower() in _CLASSES:
            ranges = _CLASSES[char.lower()]
            return list(ranges) if char.islower() else complement(ranges)
        if char in _CONTROLS:
            return [(_CONTROLS[char], _CONTROLS[char])]
        if char in _HEX_DIGITS:
            digits = self._text[self._pos : self._pos + _HEX_DIGITS[char]]
            if len(digits) < _HEX_DIGITS[char] or not all(
                c in "0123456789abcdefABCDEF" for c in digits
            ):
                raise self._error("has an escape without its hexadecimal digits")
            self._pos += len(digits)
            return [(int(digits, 16), int(digits, 16))]
        if char.isalnum() or not char.isascii():
            raise self._error(f"has \\{char}, which is not supported")
        return [(ord(char), ord(char))]

    def _class(self) -> list[Span]:
        is_negated = self._take("^")
        ranges: list[Span] = []
        while not self._take("]"):
            first = self._class_item()
            if self._peek() == "-" and self._text[self._pos + 1 : self._pos + 2] not in ("]", ""):
                self._next()
                last = self._class_item()
                if not _is_char(first) or not _is_char(last) or last[0][0] < first[0][0]:
                    raise self._error("has a class with a range that is none")
                first = [(first[0][0], last[0][0])]
            ranges += first
        return complement(ranges) if is_negated else ranges

    def _class_item(self) -> list[Span]:
        char = self._next()
        if char == "[":
            raise self._error("has [ in a class: write \\[")
        if char == "\\" and self._take("b"):
            return [(0x08, 0x08)]
        return self._escape() if char == "\\" else [(ord(char), ord(char))]

    def _quantified(self, item: str) -> str:
        for symbol in "*+?":
            if self._take(symbol):
                return self._end_of_quantifier(f"({item}){symbol}")
        if not self._take("{"):
            return item
        low = self._count()
        high = low
        if self._take(","):
            high = None if self._peek() == "}" else self._count()
        if low is None or not self._take("}"):
            raise self._error("has { without {m}, {m,} or {m,n}: write \\{")
        if high is not None and high < low:
            raise self._error("has {m,n} with n below m")
        return self._end_of_quantifier(f"({item}){{{low},{'' if high is None else high}}}")

    def _end_of_quantifier(self, expression: str) -> str:
        """Skips the ? of a lazy quantifier, which matches the same texts."""
        self._take("?")
        if self._peek() in ("*", "+", "?", "{") and self._peek():
            raise self._error("has a quantifier after a quantifier")
        return expression

    def _count(self) -> int | None:
        begin = self._pos
        while self._peek().isascii() and self._peek().isdigit():
            self._pos += 1
        digits = self._text[begin : self._pos]
        if len(digits) > len(str(MAX_REPEAT)) or int(digits or 0) > MAX_REPEAT:
            raise self._error(f"has more than {MAX_REPEAT} repetitions")
        return int(digits) if digits else None


def _is_char(ranges: Sequence[Span]) -> bool:
    return len(ranges) == 1 and ranges[0][0] == ranges[0][1]
