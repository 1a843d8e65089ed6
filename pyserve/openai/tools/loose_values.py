"""Incremental scanner for values that are nearly JSON: Python's literals, and other quotes.

  {'in': [1, True, None]}   {in:[1,<|"|>text<|"|>]}

They are given out as JSON while they come.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence

from pyserve.openai.structured.rules import MAX_CODE_POINT, SURROGATES
from pyserve.openai.tools.json_values import MAX_NAME_CHARS, is_json
from pyserve.openai.tools.text_reader import SPACE, MalformedError, Steps, TextReader

PYTHON_QUOTES = ("'", '"')
MAX_DEPTH = 64
MAX_SCALAR_CHARS = 400
_SCALAR_END = re.compile(r"[,:()\[\]{}\s]")
_KEY = re.compile(r"[^:=,(){}\[\]'\"<>]+")
_SIGNS = ":="
_DIGITS = re.compile("[0-9a-fA-F]+")
_WORDS = {"True": "true", "False": "false", "None": "null", "": "null"}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0", "\n": ""}
_AFTER_TEXT = ",:)]}"
_AFTER_SCALAR = ",)]}"
_OTHER_ENDS = ")}"  # of a list
Emit = Callable[[str], None]


class LooseReader:
    """Reads values. One thread.

    quote: around texts that have no escapes; other texts are in the quotes of Python.
    """

    def __init__(self, reader: TextReader, quote: str = "") -> None:
        self._reader = reader
        self._quotes = (quote, *PYTHON_QUOTES) if quote else PYTHON_QUOTES

    def read_value(self, emit: Emit, depth: int = 0) -> Steps[None]:
        """A value, given to `emit` as JSON. Raises MalformedError."""
        reader = self._reader
        if depth > MAX_DEPTH:
            raise MalformedError
        yield from reader.skip_space()
        quote = yield from self._quote()
        if quote is not None:
            yield from self._read_text(quote, emit)
        elif reader.rest[0] == "{":
            yield from self._read_members(emit, depth)
        elif reader.rest[0] == "[":
            yield from self._read_items(emit, depth)
        else:
            yield from self._read_scalar(emit)

    def read_pairs(
        self, end: str, emit: Emit, names: Sequence[str] = (), depth: int = 0
    ) -> Steps[None]:
        """`key: value, key=value, ...` up to `end`, as the members of an object with its braces.

        names: of the keys of values without one, by their places.
        """
        reader = self._reader
        n_members = 0
        while True:
            yield from reader.skip_space()
            if reader.rest[0] == end:
                reader.take(1)
                break
            if n_members and reader.rest[0] == ",":
                reader.take(1)
                continue
            key, value = yield from self._read_key_or_value(depth)
            if value:
                if n_members >= len(names):
                    raise MalformedError
                key = names[n_members]
            emit(f"{', ' if n_members else '{'}{_quoted(key)}: {value}")
            n_members += 1
            if not value:
                yield from self.read_value(emit, depth + 1)
        emit("}" if n_members else "{}")

    def _read_key_or_value(self, depth: int) -> Steps[tuple[str, str]]:
        """A key and the sign after it, and ""; or else a value as JSON after ""."""
        reader = self._reader
        if reader.rest[0] in "[{":
            parts: list[str] = []
            yield from self.read_value(parts.append, depth + 1)
            return "", "".join(parts)
        is_text = (yield from self._quote(is_skipped=False)) is not None
        key = yield from self.read_key()
        yield from reader.skip_space()
        if reader.rest[0] in _SIGNS:
            reader.take(1)
            return key, ""
        return "", _quoted(key) if is_text else _scalar(key)

    def _quote(self, *, is_skipped: bool = True) -> Steps[str | None]:
        """The quote that comes next."""
        reader = self._reader
        while True:
            for quote in self._quotes:
                if reader.rest.startswith(quote):
                    return reader.take(len(quote)) if is_skipped else quote
            if not any(quote.startswith(reader.rest) for quote in self._quotes):
                return None
            yield from reader.more()

    def _read_members(self, emit: Emit, depth: int) -> Steps[None]:
        self._reader.take(1)
        yield from self.read_pairs("}", emit, (), depth)

    def _read_items(self, emit: Emit, depth: int) -> Steps[None]:
        reader = self._reader
        emit(reader.take(1))
        before = ""
        while True:
            yield from reader.skip_space()
            if reader.rest[0] in "],":
                if reader.take(1) == "]":
                    break
                continue
            if reader.rest[0] in _OTHER_ENDS:
                raise MalformedError
            emit(before)
            before = ", "
            yield from self.read_value(emit, depth + 1)
        emit("]")

    def read_key(self) -> Steps[str]:
        """A text in quotes, or what stands before a sign."""
        quote = yield from self._quote()
        if quote is not None:
            parts: list[str] = []
            yield from self._read_text(quote, parts.append)
            return str(json.loads("".join(parts)))
        reader = self._reader
        while True:
            found = _KEY.match(reader.rest)
            n_chars = 0 if found is None else found.end()
            if n_chars > MAX_NAME_CHARS or (reader.rest and not n_chars):
                raise MalformedError
            if n_chars < len(reader.rest):
                return reader.take(n_chars).strip(SPACE)
            yield from reader.more()

    def _read_text(self, quote: str, emit: Emit) -> Steps[None]:
        emit('"')
        if quote in PYTHON_QUOTES:
            yield from self._read_python_text(quote, emit)
        else:
            yield from self._reader.until(quote, lambda text: emit(_quoted(text)[1:-1]))
        emit('"')

    def _read_python_text(self, quote: str, emit: Emit) -> Steps[None]:
        """A quote ends the text where something follows that may follow a text."""
        reader = self._reader
        stop = re.compile(f"[\\\\{quote}]")
        while True:
            found = stop.search(reader.rest)
            n_plain = len(reader.rest) if found is None else found.start()
            if n_plain:
                emit(_quoted(reader.take(n_plain))[1:-1])
            if found is None:
                yield from reader.more()
            elif found.group() == "\\":
                yield from self._read_escape(emit)
            elif (yield from self._is_end()):
                reader.take(1)
                return
            else:
                emit(_quoted(reader.take(1))[1:-1])

    def _is_end(self) -> Steps[bool]:
        while True:
            after = self._reader.rest[1:].lstrip(SPACE)
            if after or self._reader.is_closed:
                return not after or after[0] in _AFTER_TEXT
            yield from self._reader.more()

    def _read_escape(self, emit: Emit) -> Steps[None]:
        reader = self._reader
        reader.take(1)
        letter = yield from reader.peek()
        n_digits = {"x": 2, "u": 4, "U": 8}.get(letter, 0)
        while len(reader.rest) <= n_digits:
            yield from reader.more()
        reader.take(1)
        digits = reader.rest[:n_digits]
        if n_digits and _DIGITS.fullmatch(digits):
            emit(_code_unit(int(reader.take(n_digits), 16)))
        else:
            emit(_quoted(_ESCAPES.get(letter, letter))[1:-1])

    def _read_scalar(self, emit: Emit) -> Steps[None]:
        reader = self._reader
        while True:
            found = _SCALAR_END.search(reader.rest)
            if found is not None:
                break
            if len(reader.rest) > MAX_SCALAR_CHARS:
                raise MalformedError
            yield from reader.more()
        word = reader.take(found.start())
        if not word and reader.rest[0] not in _AFTER_SCALAR:
            raise MalformedError
        emit(_scalar(word))


def _scalar(word: str) -> str:
    word = _WORDS.get(word, word)
    return word if is_json(word) else _quoted(word)


def _code_unit(code: int) -> str:
    """A code as it stands in a JSON text; halves of characters stay what they are."""
    low, high = SURROGATES
    if low <= code <= high:
        return f"\\u{code:04x}"
    return _quoted(chr(code) if code <= MAX_CODE_POINT else "\ufffd")[1:-1]


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
