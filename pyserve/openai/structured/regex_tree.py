"""Regular expressions as trees, read in the syntax of ECMA-262.

Literals, escapes, classes, groups, alternatives, repetitions, anchors and look-ahead. Everything
else (look-behind, back-references, word boundaries, flags, possessive quantifiers) is refused.
Classes such as \\d and \\w hold ASCII, as in ECMA-262.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from pyserve.openai.structured.rules import MAX_CODE_POINT, complement

MAX_REPEAT = 64 * 1024
MAX_REGEX_CHARS = 4096
MAX_DEPTH = 32

Span = tuple[int, int]
_DIGITS = [(0x30, 0x39)]
_WORD = [(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)]
_SPACE = [
    *((0x09, 0x0D), (0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A)),
    *((0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF)),
]
LINE_ENDS = [(0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029)]
_CLASSES = {"d": _DIGITS, "w": _WORD, "s": _SPACE}
_CONTROLS = {"t": 0x09, "n": 0x0A, "r": 0x0D, "f": 0x0C, "v": 0x0B, "0": 0x00}
_HEX_DIGITS = {"x": 2, "u": 4}


class UnsupportedRegexError(ValueError):
    """The expression cannot be enforced, or is malformed; the message follows its field's name.

    position: of the first character that is not understood.
    """

    def __init__(self, message: str, position: int = 0) -> None:
        super().__init__(message)
        self.position = position


class Chars(msgspec.Struct, frozen=True):
    """One character of these ranges."""

    ranges: tuple[Span, ...]


class Chain(msgspec.Struct, frozen=True):
    """One after the other."""

    items: tuple[Tree, ...]


class Alternatives(msgspec.Struct, frozen=True):
    """One of them."""

    items: tuple[Tree, ...]


class Repeat(msgspec.Struct, frozen=True):
    """`low` to `high` times; None: no limit."""

    item: Tree
    low: int
    high: int | None


class Anchor(msgspec.Struct, frozen=True):
    """The beginning of the text, or its end."""

    is_end: bool


class LookAhead(msgspec.Struct, frozen=True):
    """What follows begins like `item`, or does not."""

    item: Tree
    is_negative: bool


Tree = Chars | Chain | Alternatives | Repeat | Anchor | LookAhead
ANY_CHAR = Chars(((0, MAX_CODE_POINT),))
ANY_TEXT = Repeat(ANY_CHAR, 0, None)
EMPTY = Chain(())


def parsed_regex(pattern: str, *, dot_matches_lines: bool = False) -> Tree:
    """The tree of `pattern`. Raises UnsupportedRegexError."""
    return _Parser(pattern, dot_matches_lines).parse()


def has_context(tree: Tree) -> bool:
    """Whether there are anchors or look-ahead in it."""
    match tree:
        case Chars():
            return False
        case Chain(items) | Alternatives(items):
            return any(has_context(item) for item in items)
        case Repeat(item, _, _):
            return has_context(item)
    return True


def length_bounds(tree: Tree) -> tuple[int, int | None]:
    """The least and most characters of its texts; of context, none."""
    match tree:
        case Chain(items):
            bounds = [length_bounds(item) for item in items]
            highs = [high for _, high in bounds if high is not None]
            return sum(low for low, _ in bounds), sum(highs) if len(highs) == len(bounds) else None
        case Alternatives(items):
            bounds = [length_bounds(item) for item in items]
            highs = [high for _, high in bounds if high is not None]
            return min(low for low, _ in bounds), max(highs) if len(highs) == len(bounds) else None
        case Repeat(item, least, most):
            low, high = length_bounds(item)
            if high == 0:
                return 0, 0
            return low * least, None if most is None or high is None else high * most
        case Chars():
            return 1, 1
    return 0, 0


class _Parser:
    def __init__(self, pattern: str, dot_matches_lines: bool) -> None:
        self._text = pattern
        self._dot = list(ANY_CHAR.ranges) if dot_matches_lines else complement(LINE_ENDS)
        self._pos = 0

    def parse(self) -> Tree:
        if len(self._text) > MAX_REGEX_CHARS:
            raise self._error(f"has {len(self._text)} characters, at most {MAX_REGEX_CHARS}")
        tree = self._alternatives(0)
        if self._pos < len(self._text):
            raise self._error("has a parenthesis that was never opened")
        return tree

    def _error(self, message: str) -> UnsupportedRegexError:
        return UnsupportedRegexError(message, self._pos)

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

    def _alternatives(self, depth: int) -> Tree:
        if depth > MAX_DEPTH:
            raise self._error(f"has groups nested more than {MAX_DEPTH} deep")
        alternatives = [self._sequence(depth)]
        while self._take("|"):
            alternatives.append(self._sequence(depth))
        return Alternatives(tuple(alternatives)) if len(alternatives) > 1 else alternatives[0]

    def _sequence(self, depth: int) -> Tree:
        parts: list[Tree] = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._quantified(self._item(depth)))
        return parts[0] if len(parts) == 1 else Chain(tuple(parts))

    def _item(self, depth: int) -> Tree:
        char = self._next()
        if char == "(":
            return self._group(depth)
        if char in "^$":
            return Anchor(is_end=char == "$")
        if char in "*+?{":
            self._pos -= 1
            raise self._error("repeats nothing")
        if char == "[":
            return self._chars(self._class())
        if char == ".":
            return self._chars(self._dot)
        return self._chars(self._escape() if char == "\\" else [(ord(char), ord(char))])

    def _group(self, depth: int) -> Tree:
        look = None
        if self._take("?"):
            if self._take("=") or self._take("!"):
                look = self._text[self._pos - 1]
            elif not self._take(":"):
                self._skip_name()
        group = self._alternatives(depth + 1)
        if not self._take(")"):
            raise self._error("has a parenthesis that is never closed")
        return group if look is None else LookAhead(group, look == "!")

    def _skip_name(self) -> None:
        self._take("P")
        end = self._text.find(">", self._pos)
        if not self._take("<") or not self._text[self._pos : end].isidentifier():
            raise self._error("has look-behind, flags or back-references")
        self._pos = end + 1

    def _chars(self, ranges: Sequence[Span]) -> Tree:
        if not ranges:
            raise self._error("has a class without any character")
        return Chars(tuple(ranges))

    def _escape(self) -> list[Span]:
        char = self._next()
        if char.lower() in _CLASSES:
            ranges = _CLASSES[char.lower()]
            return list(ranges) if char.islower() else complement(ranges)
        if char in _CONTROLS and not (char == "0" and self._peek().isdigit()):
            return [(_CONTROLS[char], _CONTROLS[char])]
        if char in _HEX_DIGITS:
            code = self._hexadecimal(_HEX_DIGITS[char])
            return [(code, code)]
        if char == "c" and self._peek().isascii() and self._peek().isalpha():
            code = ord(self._next()) % 32
            return [(code, code)]
        if char.isalnum() or not char.isascii():
            self._pos -= 1
            raise self._error(f"has \\{char}, which is not supported")
        return [(ord(char), ord(char))]

    def _hexadecimal(self, n_digits: int) -> int:
        braced = re.compile(r"\{([0-9a-fA-F]{1,6})\}")
        plain = re.compile(rf"([0-9a-fA-F]{{{n_digits}}})")
        found = plain.match(self._text, self._pos)
        if found is None and n_digits == _HEX_DIGITS["u"]:
            found = braced.match(self._text, self._pos)
        if found is None:
            raise self._error("has an escape without its hexadecimal digits")
        self._pos = found.end()
        if int(found[1], 16) > MAX_CODE_POINT:
            raise self._error("has an escape of no character")
        return int(found[1], 16)

    def _class(self) -> list[Span]:
        is_negated = self._take("^")
        ranges: list[Span] = []
        while not self._take("]"):
            first = self._class_item()
            if self._peek() == "-" and self._text[self._pos + 1 : self._pos + 2] not in ("]", ""):
                self._next()
                last = self._class_item()
                if _is_char(first) and _is_char(last):
                    if last[0][0] < first[0][0]:
                        raise self._error("has a class with a range that is none")
                    first = [(first[0][0], last[0][0])]
                else:  # a class beside a hyphen: the hyphen is one of the characters
                    first = [*first, (0x2D, 0x2D), *last]
            ranges += first
        return complement(ranges) if is_negated else ranges

    def _class_item(self) -> list[Span]:
        char = self._next()
        if char == "\\" and self._take("b"):
            return [(0x08, 0x08)]
        return self._escape() if char == "\\" else [(ord(char), ord(char))]

    def _quantified(self, item: Tree) -> Tree:
        for symbol, (low, high) in {"*": (0, None), "+": (1, None), "?": (0, 1)}.items():
            if self._take(symbol):
                return self._end_of_quantifier(Repeat(item, low, high))
        if not self._take("{"):
            return item
        least = self._count()
        most = least
        if self._take(","):
            most = None if self._peek() == "}" else self._count()
        if least is None or not self._take("}"):
            raise self._error("has { without {m}, {m,} or {m,n}: write \\{")
        if most is not None and most < least:
            raise self._error("has {m,n} with n below m")
        return self._end_of_quantifier(Repeat(item, least, most))

    def _end_of_quantifier(self, repeat: Repeat) -> Tree:
        """Skips the ? of a lazy quantifier, which matches the same texts."""
        self._take("?")
        if self._peek() in ("*", "+", "?", "{") and self._peek():
            raise self._error("has a quantifier after a quantifier")
        if isinstance(repeat.item, Anchor):
            raise self._error("repeats an anchor")
        return repeat

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
