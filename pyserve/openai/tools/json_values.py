"""Incremental JSON scanner on a `TextReader`: finds where values end.

What models get wrong is put right on the way: commas after the last member, line breaks in texts,
backslashes that escape nothing, words of Python.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from pyserve.openai.tools.text_reader import SPACE, MalformedError, Steps, TextReader

MAX_NAME_CHARS = 256
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_STRUCTURE = re.compile(r'["{}\[\],]|[TFN]')
_WORDS = {"True": "true", "False": "false", "None": "null"}  # of Python
_STRING_END = re.compile(r'\\.|"', re.DOTALL)
# What models forget to escape: line breaks in texts, most of all.
_ESCAPED = {code: json.dumps(chr(code))[1:-1] for code in range(0x20)}
_SCALAR_END = re.compile(r"[,}\]\s]")
_ESCAPES = '"\\/bfnrt'
_HEX = re.compile(r"[0-9a-fA-F]*")
_N_UNICODE = 6  # characters of an escape such as \\u00e9


def is_json(text: str) -> bool:
    """Whether it is one JSON value; Python's NaN and Infinity are none."""
    try:
        json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(word: str) -> None:
    raise ValueError(word)


def read_string(reader: TextReader, max_chars: int = MAX_NAME_CHARS) -> Steps[str]:
    """A short string. Raises MalformedError if there is something else."""
    if (yield from reader.peek()) != '"':
        raise MalformedError
    while True:
        found = _STRING.match(reader.rest)
        if found is not None:
            break
        if len(reader.rest) > max_chars:
            raise MalformedError
        yield from reader.more()
    try:
        value = json.loads(reader.take(found.end()), strict=False)
        value.encode()  # an escape may be half a character
    except ValueError:
        raise MalformedError from None
    return str(value)


def read_value(reader: TextReader, emit: Callable[[str], None]) -> Steps[None]:
    """A value, given to `emit` in pieces as it comes."""
    yield from reader.skip_space()
    first = reader.rest[0]
    if first == '"':
        emit(reader.take(1))
        yield from _read_string_rest(reader, emit)
    elif first in "{[":
        yield from _read_nested(reader, emit)
    else:
        yield from _read_scalar(reader, emit)


def _read_nested(reader: TextReader, emit: Callable[[str], None]) -> Steps[None]:
    depth = 0
    while True:
        found = _STRUCTURE.search(reader.rest)
        if found is None:
            if reader.rest:
                emit(reader.take(len(reader.rest)))
            yield from reader.more()
            continue
        mark = found.group()
        if mark == ",":
            emit(reader.take(found.start()))
            yield from _read_comma(reader, emit)
            continue
        if mark in "TFN":
            emit(reader.take(found.start()))
            yield from _read_word(reader, emit)
            continue
        emit(reader.take(found.end()))
        if mark == '"':
            yield from _read_string_rest(reader, emit)
            continue
        depth += 1 if mark in "{[" else -1
        if depth == 0:
            return


def _read_word(reader: TextReader, emit: Callable[[str], None]) -> Steps[None]:
    """A word of Python as JSON, or a character that begins none."""
    for word, value in _WORDS.items():
        while len(reader.rest) < len(word) and word.startswith(reader.rest):
            yield from reader.more()
        if reader.rest.startswith(word):
            reader.take(len(word))
            emit(value)
            return
    emit(reader.take(1))


def _read_comma(reader: TextReader, emit: Callable[[str], None]) -> Steps[None]:
    """A comma and the white space after it; the comma goes where no member follows."""
    reader.take(1)
    space = ""
    while (yield from reader.peek()) in SPACE:
        space += reader.take(1)
    emit(space if reader.rest[0] in ",}]" else f",{space}")


def _read_string_rest(reader: TextReader, emit: Callable[[str], None]) -> Steps[None]:
    while True:
        found = _STRING_END.search(reader.rest)
        if found is None:
            n_ready = len(reader.rest) - reader.rest.endswith("\\")
            if n_ready:
                emit(reader.take(n_ready).translate(_ESCAPED))
            yield from reader.more()
            continue
        if found.group() == '"':
            emit(reader.take(found.end()).translate(_ESCAPED))
            return
        if found.start():
            emit(reader.take(found.start()).translate(_ESCAPED))
        yield from _read_escape(reader, emit)


def _read_escape(reader: TextReader, emit: Callable[[str], None]) -> Steps[None]:
    """An escape, or a backslash that is none: `\\d`. REQUIRES: the letter is there."""
    letter = reader.rest[1]
    if letter == "u":
        while len(reader.rest) < _N_UNICODE and _HEX.fullmatch(reader.rest, 2):
            yield from reader.more()
        is_whole = _HEX.fullmatch(reader.rest, 2, _N_UNICODE) and len(reader.rest) >= _N_UNICODE
        emit(reader.take(_N_UNICODE) if is_whole else f"{reader.take(1)}\\")
    elif letter in _ESCAPES:
        emit(reader.take(2))
    else:
        emit(f"{reader.take(1)}\\")


def _read_scalar(reader: TextReader, emit: Callable[[str], None]) -> Steps[None]:
    if reader.rest[0] in f",:}}]{SPACE}":
        raise MalformedError
    while True:
        found = _SCALAR_END.search(reader.rest)
        n_ready = len(reader.rest) if found is None else found.start()
        if n_ready:
            emit(reader.take(n_ready))
        if found is not None:
            return
        yield from reader.more()
