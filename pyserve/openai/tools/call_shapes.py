"""Finds a call in a rendered conversation, and how its name and arguments are written."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from pyserve.openai.tools.formats import HOLE, Kind
from pyserve.openai.tools.probes import KEYS

_WORD = re.compile(r"\w")


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """Where a call stands, and the fields of its `CallFormat` that it tells.

    begin, end: of the call, without what runs have around it.
    """

    begin: int
    end: int
    kind: Kind
    fields: dict[str, Any] = {}


def find_shape(text: str, name: str, arguments: dict[str, Any], start: int = 0) -> Shape | None:
    """The first call of the function `name` in `text` from `start` on."""
    at = text.find(name, start)
    if at < 0:
        return None
    found = _json_at(text, at + len(name), arguments)
    if found is None:
        return _tagged(text, at, name, arguments)
    begin, end = found
    if text[:at].endswith('"'):
        return _object(text, at, end, name, arguments)
    name_end = text[at + len(name) : begin]
    return Shape(begin=at, end=end, kind="named", fields={"name_end": name_end})


def _json_at(text: str, start: int, value: Any) -> tuple[int, int] | None:
    """Where `value` stands as JSON."""
    at = text.find("{", start)
    while at >= 0:
        found = _decoded(text, at)
        if found is not None and found[0] == value:
            return at, found[1]
        at = text.find("{", at + 1)
    return None


def _decoded(text: str, at: int) -> tuple[Any, int] | None:
    try:
        return json.JSONDecoder().raw_decode(text, at)
    except (ValueError, RecursionError):
        return None


def _object(text: str, at: int, end: int, name: str, arguments: dict[str, Any]) -> Shape | None:
    """The innermost object that holds the name and the arguments."""
    begin = text.rfind("{", 0, at)
    while begin >= 0:
        found = _decoded(text, begin)
        if found is not None and found[1] > end:
            break
        begin = text.rfind("{", 0, begin)
    else:
        return None
    value, end = found
    if value == {name: arguments}:
        return Shape(begin=begin, end=end, kind="keyed")
    keys = list(value)
    by_value = {"name_key": name, "arguments_key": arguments}
    fields: dict[str, Any] = {
        field: next((key for key in keys if value[key] == wanted), "")
        for field, wanted in by_value.items()
    }
    if not all(fields.values()):
        return None
    order = [keys.index(fields[field]) for field in by_value]
    fields["has_arguments_first"] = order[0] > order[1]
    ids = [key for key in (keys[0], keys[-1]) if isinstance(value[key], str)]
    if min(order) == 1 and keys[0] in ids:
        fields["id_key"] = keys[0]
    elif max(order) == len(keys) - 2 and keys[-1] in ids:
        fields |= {"id_key": keys[-1], "has_last_id": True}
    return Shape(begin=begin, end=end, kind="object", fields=fields)


def _tagged(text: str, at: int, name: str, arguments: dict[str, Any]) -> Shape | None:
    """A call whose arguments are no JSON object: parts between keys and values are compared."""
    parts, pos = [], at + len(name)
    written = [str(part) for pair in arguments.items() for part in pair]
    for part in written:
        found = text.find(part, pos)
        if found < 0:
            return None
        parts.append(text[pos:found])
        pos = found + len(part)
    before_key, key_end, *others = parts
    if before_key.strip() == "(" and key_end.rstrip("'\"") == "=":
        end = text.find(")", pos) + 1
        return Shape(begin=at, end=end, kind="pythonic") if end else None
    if before_key.strip() == "{" and key_end.startswith(":") and key_end != ":":
        end = text.find("}", pos) + 1
        quote = key_end.removeprefix(":")
        return Shape(begin=at, end=end, kind="quoted", fields={"quote": quote}) if end else None
    if not others:
        return Shape(begin=at, end=pos, kind="tagged")
    if KEYS[0] in others[0]:
        return _elements(text, at, pos, before_key, key_end, others[0])
    return _pairs(text, at, pos, before_key, (key_end, *others))


def _pairs(text: str, at: int, pos: int, before_key: str, others: tuple[str, ...]) -> Shape | None:
    key_end, after_value, other_key_end = others
    key_begin = _common_end(before_key, after_value)
    sign = re.search(r"\S", key_begin)
    starts = [found.start() for found in re.finditer(r"[<\[]", key_begin)]
    key_begin = key_begin[starts[0] if starts else sign.start() if sign else 0 :]
    if not key_begin.strip():
        return None
    value_end = after_value[: -len(key_begin)]
    fields: dict[str, Any] = {"name_end": before_key[: -len(key_begin)], "key_begin": key_begin}
    if not text.startswith(value_end, pos):
        value_end = value_end.rstrip()  # the next key is indented
    if not text.startswith(value_end, pos):
        return None
    end = pos + len(value_end)
    value_end = value_end.rstrip()
    if key_end != other_key_end:
        key_end = _with_hole(key_end, other_key_end)
    has_breaks = key_end.endswith("\n") and value_end.startswith("\n")
    if has_breaks:
        key_end, value_end = key_end.rstrip("\n"), value_end.lstrip("\n")
    fields |= {"key_end": key_end, "value_end": value_end, "has_line_breaks": has_breaks}
    return Shape(begin=at, end=end, kind="tagged", fields=fields)


def _elements(
    text: str, at: int, pos: int, before_key: str, key_end: str, after_value: str
) -> Shape | None:
    value_end, _, rest = after_value.partition(KEYS[0])
    key_begin = rest.removeprefix(key_end)
    closing = f"{value_end}{KEYS[1]}{key_end}"
    if not (before_key.endswith(key_begin) and text.startswith(closing, pos)) or not key_begin:
        return None
    fields = {
        "name_end": before_key[: -len(key_begin)],
        "key_begin": key_begin,
        "key_end": key_end,
        "value_end": value_end,
        "has_line_breaks": False,
    }
    return Shape(begin=at, end=pos + len(closing), kind="elements", fields=fields)


def type_word(text: str, key: str, key_end: str) -> str | None:
    """What stands in the hole of `key_end` after this key."""
    before, _, after = key_end.partition(HOLE)
    pattern = f"{re.escape(key + before)}(.*?){re.escape(after)}"
    found = re.search(pattern, text)
    return found[1] if found else None


def _with_hole(first: str, second: str) -> str:
    """What both have, and a hole where they differ by whole words."""
    begin = len(common_begin([first, second]))
    while begin and _WORD.match(first[begin - 1]):
        begin -= 1
    n_end = len(_common_end(first[begin:], second[begin:]))
    while n_end and _WORD.match(first[-n_end]):
        n_end -= 1
    return f"{first[:begin]}{HOLE}{first[len(first) - n_end :]}"


def _common_end(first: str, second: str) -> str:
    return common_begin([first[::-1], second[::-1]])[::-1]


def common_begin(texts: Sequence[str]) -> str:
    """The longest text that all `texts` begin with."""
    if not texts:
        return ""
    low, high = min(texts), max(texts)
    n_chars = next(
        (i for i, (one, other) in enumerate(zip(low, high, strict=False)) if one != other), len(low)
    )
    return low[:n_chars]
