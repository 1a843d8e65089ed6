"""The only JSON parser for request bodies: bytes to a dict, or an InvalidRequestError.

Refuses what the standard parser lets through or dies of: deep nesting, floods of tiny values,
numbers that are no finite double, huge numbers, duplicate keys, lone surrogates. All passes over
the text are linear and run in C; nothing recurses deeper than MAX_DEPTH.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from pyserve.errors import InvalidRequestError

MAX_DEPTH = 64
MAX_CONTAINERS = 100_000
MAX_KEYS = 100_000
MAX_STRINGS = 200_000
MAX_VALUES = 1_000_000
MAX_NUMBER_CHARS = 64
MAX_EXACT = 2**53  # the integers up to it are exact in a double

_BOM = b"\xef\xbb\xbf"
_BRACKETS = bytes.maketrans(b"[]{}", b"()()")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_NUMBERS = bytes(0x31 if chr(byte) in "0123456789+-.eE" else 0x20 for byte in range(256))
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


class InvalidJsonError(InvalidRequestError):
    """The body is no JSON object."""

    code = "invalid_json"


class TooDeepError(InvalidRequestError):
    """The body is nested deeper than MAX_DEPTH."""

    code = "too_deep"


class TooManyFieldsError(InvalidRequestError):
    """The body has more values, strings or keys than any sensible request."""

    code = "too_many_fields"


class InvalidUnicodeError(InvalidRequestError):
    """The body is not UTF-8, or a string holds half of a surrogate pair."""

    code = "invalid_unicode"


def parse_object(body: bytes, *, list_field: str | None = None) -> dict[str, Any]:
    """The JSON object in `body`. Raises InvalidRequestError, and nothing else.

    list_field: a list stands for an object with this field.
    """
    text = _decoded(body)
    _check_structure(body)
    try:
        parsed = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidJsonError(f"the body is not valid JSON: {error.msg} ({where})") from None
    except RecursionError:
        raise TooDeepError(f"the body is nested deeper than {MAX_DEPTH} levels") from None
    if list_field is not None and isinstance(parsed, list):
        parsed = {list_field: parsed}
    if not isinstance(parsed, dict):
        raise InvalidJsonError("the body must be a JSON object")
    if _SURROGATE_ESCAPE.search(body):
        _check_surrogates(parsed)
    return parsed


def _decoded(body: bytes) -> str:
    if body.startswith(_BOM):
        raise InvalidJsonError("the body must not start with a byte order mark")
    if not body.strip(b" \t\r\n"):
        raise InvalidJsonError("the body is empty; a JSON object is expected")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise InvalidUnicodeError(f"the body is not UTF-8 at byte {error.start}") from None


def _check_structure(body: bytes) -> None:
    """Bound depth, size and number lengths before anything is built."""
    unescaped = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    _check_count("strings", unescaped.count(b'"') // 2, MAX_STRINGS)
    outside = b'"'.join(unescaped.split(b'"')[::2])  # every second part is between strings
    brackets = outside.translate(_BRACKETS, _NOT_BRACKETS)
    _check_count("arrays and objects", brackets.count(b"("), MAX_CONTAINERS)
    _check_count("keys", outside.count(b":"), MAX_KEYS)
    _check_count("values", outside.count(b","), MAX_VALUES)
    if _is_too_deep(brackets):
        raise TooDeepError(f"the body is nested deeper than {MAX_DEPTH} levels")
    if b"1" * (MAX_NUMBER_CHARS + 1) in outside.translate(_NUMBERS):
        raise InvalidJsonError(f"a number has more than {MAX_NUMBER_CHARS} characters")


def _check_count(what: str, n: int, n_max: int) -> None:
    if n > n_max:
        raise TooManyFieldsError(f"the body has {n} {what}, at most {n_max}")


def _is_too_deep(brackets: bytes) -> bool:
    """Peel the innermost pairs off, one level at a time; what is left is deeper or unbalanced."""
    for _ in range(MAX_DEPTH):
        peeled = brackets.replace(b"()", b"")
        if len(peeled) == len(brackets):
            return b"(" * (MAX_DEPTH + 1) in brackets
        brackets = peeled
    return len(brackets) > 0


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise InvalidJsonError("an object in the body has a key twice")
    return fields


def _number(text: str) -> int | float:
    """A number with a fraction or an exponent; a whole one is an integer, as in JSON Schema."""
    value = float(text)
    if not math.isfinite(value):
        raise InvalidJsonError(f"the number {text} is too large")
    return int(value) if value.is_integer() and abs(value) <= MAX_EXACT else value


def _constant(text: str) -> NoReturn:
    raise InvalidJsonError(f"{text} is not valid JSON")


def _check_surrogates(parsed: Any) -> None:
    try:
        json.dumps(parsed, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidUnicodeError("a string in the body has a lone surrogate") from None


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_number, parse_constant=_constant
)
