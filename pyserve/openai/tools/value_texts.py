"""Texts that stand for values of other types than text, as JSON: what models write there.

FALSE -> false   None -> null   1 000 -> 1000   {'a': True} -> {"a": true}   "[1]" -> [1]
"""

from __future__ import annotations

import ast
import json
import re

from pyserve.openai.tools.json_values import is_json
from pyserve.openai.tools.loose_values import LooseReader
from pyserve.openai.tools.text_reader import SPACE, EndedError, MalformedError, TextReader
from pyserve.openai.tools.value_types import TEXT, UNKNOWN, Types

CDATA, CDATA_END = "<![CDATA[", "]]>"
MAX_LITERAL_CHARS = 100_000
MAX_LOOSE_CHARS = 10_000
MAX_NUMBER_CHARS = 64
_NULLS = ("null", "none")  # in small letters
_BOOLEANS = ("true", "false")
_NUMBERS = frozenset({"integer", "number"})
_CONTAINERS = {"object": dict, "array": list}
_SEPARATED = re.compile(r"[+-]?\d{1,3}(?:([ _\u00a0\u202f])\d{3})(?:\1\d{3})*(?:\.\d+)?", re.ASCII)
_WITH_COMMAS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+", re.ASCII)
_SIGNED = re.compile(r"([+-])\s+")
_INTEGER = re.compile(r"([+-]?)0*(\d+)(?:\.0*)?", re.ASCII)
_DECIMAL = re.compile(r"([+-]?)0*(\d*)\.(\d*)((?:[eE][+-]?\d+)?)", re.ASCII)


def as_json(text: str, types: Types = UNKNOWN) -> str:
    """The JSON of the value that `text` stands for; a text where it is none of `types`."""
    text = text.strip(SPACE)
    if text.startswith(CDATA) and text.endswith(CDATA_END):
        return quoted(text[len(CDATA) : -len(CDATA_END)])
    if types and not types & TEXT:
        inner = _unquoted(text)
        written = text if inner is None else inner
        return _of_types(written, types) or _from_literal(text)
    return "null" if not text and "null" in types else _from_literal(text)


def _of_types(text: str, types: Types) -> str:
    """What of `types` is spelled otherwise than in JSON; "": nothing is."""
    word = text.lower()
    if "boolean" in types and word in _BOOLEANS:
        return word
    if "null" in types and word in ("", *_NULLS):
        return "null"
    if types & _NUMBERS and (number := _number(text, types)):
        return number
    kind = next((kind for kind in _CONTAINERS if kind in types), "")
    if not kind:
        return ""
    value = _from_literal(text) if text else json.dumps(_CONTAINERS[kind]())
    return value if value[0] in "{[" else ""


def _number(text: str, types: Types) -> str:
    """A number without separators, plus signs and zeros before it; "": it is none."""
    if not text or len(text) > MAX_NUMBER_CHARS:
        return ""
    bare = _SIGNED.sub(r"\1", text)
    if _SEPARATED.fullmatch(bare):
        bare = "".join(bare.replace("_", "").split())
    is_whole = "number" not in types
    if is_whole and _WITH_COMMAS.fullmatch(bare):
        bare = bare.replace(",", "")
    whole = _INTEGER.fullmatch(bare)
    if whole is not None and (is_whole or "." not in bare):
        return f"{whole[1].strip('+')}{whole[2]}"
    parts = _DECIMAL.fullmatch(bare)
    if parts is None or not (parts[2] or parts[3]):
        return ""
    sign, digits, decimals, exponent = parts.groups()
    return f"{sign.strip('+')}{digits or '0'}.{decimals or '0'}{exponent}"


def _unquoted(text: str) -> str | None:
    """The text in a JSON text."""
    if not (text.startswith('"') and is_json(text)):
        return None
    return str(json.loads(text))


def _from_literal(text: str) -> str:
    """A list, an object or a word in Python's syntax as JSON; else `text` is a text."""
    if is_json(text):
        return text
    if text[:1] not in ("{", "[") and text not in ("True", "False", "None"):
        return quoted(text)
    if len(text) <= MAX_LITERAL_CHARS:
        try:
            return json.dumps(ast.literal_eval(text), ensure_ascii=False, allow_nan=False)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            pass
    return _loosely(text) or quoted(text)


def _loosely(text: str) -> str:
    """The same where it is neither JSON nor Python: `{a: 1, 'b': true}`; "" for what is none."""
    if len(text) > MAX_LOOSE_CHARS:
        return ""
    reader = TextReader()
    reader.rest, reader.is_closed = text, True
    parts: list[str] = []
    try:
        for _ in LooseReader(reader).read_value(parts.append):
            pass
    except (MalformedError, EndedError):
        return ""
    found = "".join(parts)
    return found if is_json(found) and not reader.rest.strip(SPACE) else ""


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
