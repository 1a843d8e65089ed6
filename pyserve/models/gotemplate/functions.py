"""The functions that templates may call: Go's, and those of the sprig library that prompts use.

Arguments come in Go's order, the piped one last. What a function makes of a user's text is a user's
text; of texts of both kinds, too.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

from pyserve.models.gotemplate.marked import Marked, Run, all_marked, is_marked, joined, runs_of
from pyserve.models.gotemplate.values import is_true, printed, to_json

MAX_REPEATED_CHARS = 64 * 1024
MAX_UNTIL = 1000
_VERB = re.compile(r"%[-+# 0]*\d{0,3}(?:\.\d{1,3})?([a-zA-Z%])")


class FunctionError(Exception):
    """A function cannot work with its arguments; the text says why."""


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise FunctionError(f"needs a string, not {_kind(value)}")
    return value


def _number(value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FunctionError(f"needs a number, not {_kind(value)}")
    return value


def _list(value: object) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise FunctionError(f"needs a list, not {_kind(value)}")
    return value


def _map(value: object) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise FunctionError(f"needs a map, not {_kind(value)}")
    return value


def _kind(value: object) -> str:
    names = {str: "a string", Marked: "a string", bool: "a boolean", dict: "a map", list: "a list"}
    return names.get(type(value), "nil" if value is None else "a number")


def _kept(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of strings whose result is a user's when one of its arguments is."""

    def call(*args: Any) -> Any:
        result = function(*args)
        return all_marked(result) if is_marked(args) else result

    return call


def _cut(find: Callable[[str], tuple[int, int]]) -> Callable[[str], str]:
    """A function that takes a part of a string; every character stays what it is."""

    def call(text: str) -> str:
        begin, end = find(str(text))
        return text.cut(begin, end) if isinstance(text, Marked) else str(text)[begin:end]

    return call


def _stripped(text: str, chars: str | None, *, left: bool = True, right: bool = True) -> str:
    def find(plain: str) -> tuple[int, int]:
        end = len(plain.rstrip(chars)) if right else len(plain)
        begin = len(plain) - len(plain.lstrip(chars)) if left else 0
        return min(begin, end), end

    return _cut(find)(text)


def _without(affix: str, text: str, *, is_prefix: bool) -> str:
    plain, affix = str(_text(text)), str(_text(affix))
    if is_prefix:
        begin = len(affix) if plain.startswith(affix) else 0
        return _cut(lambda _: (begin, len(plain)))(text)
    end = len(plain) - len(affix) if affix and plain.endswith(affix) else len(plain)
    return _cut(lambda _: (0, end))(text)


def _slice(value: Any, *bounds: int) -> Any:
    whole = value if isinstance(value, str) else _list(value)
    begin = bounds[0] if bounds else 0
    end = bounds[1] if len(bounds) > 1 else len(whole)
    if not 0 <= begin <= end <= len(whole):
        raise FunctionError(f"{begin}:{end} is outside of the length {len(whole)}")
    return _cut(lambda _: (begin, end))(whole) if isinstance(whole, str) else list(whole[begin:end])


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key)
            continue
        items = value if isinstance(value, str) else _list(value)
        at = int(_number(key))
        if not 0 <= at < len(items):
            raise FunctionError(f"{at} is outside of the length {len(items)}")
        value = ord(items[at]) if isinstance(items, str) else items[at]
    return value


def _length(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, dict | list | tuple):
        return len(value)
    raise FunctionError(f"{_kind(value)} has no length")


def _equal(first: Any, *others: Any) -> bool:
    if not others:
        raise FunctionError("needs at least two values")
    return any(first == other and _kind(first) == _kind(other) for other in others)


def _order(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def call(left: Any, right: Any) -> bool:
        if _kind(left) != _kind(right) or not isinstance(left, str | int | float):
            raise FunctionError(f"cannot compare {_kind(left)} and {_kind(right)}")
        return compare(left, right)

    return call


def _printf(form: str, *args: Any) -> Marked:
    runs: list[Run] = []
    pos, rest = 0, list(args)
    for match in _VERB.finditer(_text(form)):
        runs.append((form[pos : match.start()], False))
        pos = match.end()
        if match.group(1) == "%":
            runs.append(("%", False))
        elif not rest:
            raise FunctionError(f"{match.group()} has no value")
        else:
            runs += _formatted(match.group(), rest.pop(0)).runs
    runs.append((form[pos:], False))
    return joined(runs)


def _formatted(verb: str, value: Any) -> Marked:
    kind = verb[-1]
    if kind in "vs":
        return printed(value)
    if kind == "q":
        text = to_json(str(printed(value)))
        return joined([(text, is_marked(value))])
    if kind not in "dfegxXoc" or isinstance(value, str):
        raise FunctionError(f"{verb} does not fit {_kind(value)}")
    number = _number(value)
    return joined([(verb % (int(number) if kind in "dxXoc" else number), False)])


def _print(*args: Any) -> Marked:
    runs: list[Run] = []
    for i, arg in enumerate(args):
        if i and not isinstance(arg, str) and not isinstance(args[i - 1], str):
            runs.append((" ", False))
        runs += printed(arg).runs
    return joined(runs)


def _println(*args: Any) -> Marked:
    runs: list[Run] = []
    for i, arg in enumerate(args):
        runs += [(" ", False)] if i else []
        runs += printed(arg).runs
    return joined([*runs, ("\n", False)])


def _join(separator: str, items: Any) -> Marked:
    runs: list[Run] = []
    for i, item in enumerate(_list(items)):
        runs += runs_of(_text(separator)) if i else ()
        runs += printed(item).runs
    return joined(runs)


def _repeat(count: int, text: str) -> str:
    n_chars = int(_number(count)) * len(_text(text))
    if n_chars > MAX_REPEATED_CHARS:
        raise FunctionError(f"makes {n_chars:,} characters, at most {MAX_REPEATED_CHARS:,}")
    return str(text) * int(count)


def _replace(old: str, new: str, text: str) -> str:
    plain, old, new = str(_text(text)), str(_text(old)), str(_text(new))
    if plain.count(old) * len(new) > 64 * MAX_REPEATED_CHARS:
        raise FunctionError("makes too long a text")
    return plain.replace(old, new)


def _from_json(text: str) -> Any:
    try:
        return json.loads(_text(text))
    except (ValueError, RecursionError) as error:
        raise FunctionError("the text is no JSON") from error


def _until(n: int) -> list[int]:
    if int(_number(n)) > MAX_UNTIL:
        raise FunctionError(f"{n} is more than {MAX_UNTIL}")
    return list(range(int(n)))


def _divided(left: int, right: int) -> int:
    if int(_number(right)) == 0:
        raise FunctionError("divides by zero")
    return int(int(_number(left)) / int(right))


def _modulo(left: int, right: int) -> int:
    return int(_number(left)) - int(right) * _divided(left, right)


def _dict(*pairs: Any) -> dict[Any, Any]:
    return {_text(key): value for key, value in zip(pairs[::2], pairs[1::2], strict=False)}


def _to_int(value: Any) -> int:
    try:
        return int(float(value)) if value is not None else 0
    except (TypeError, ValueError, OverflowError):
        return 0


def _indented(n: int, text: str) -> str:
    pad = " " * min(max(int(_number(n)), 0), 64)
    return pad + str(_text(text)).replace("\n", "\n" + pad)


def _has(item: Any, items: Any) -> bool:
    return item in _list(items)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    # Go's own; and, or are here so that they are known: they see their arguments one by one
    "and": lambda *args: next((arg for arg in args if not is_true(arg)), args[-1]),
    "or": lambda *args: next((arg for arg in args if is_true(arg)), args[-1]),
    "not": lambda value: not is_true(value),
    "eq": _equal,
    "ne": lambda left, right: not _equal(left, right),
    "lt": _order(operator.lt),
    "le": _order(operator.le),
    "gt": _order(operator.gt),
    "ge": _order(operator.ge),
    "len": _length,
    "index": _index,
    "slice": _slice,
    "print": _print,
    "printf": _printf,
    "println": _println,
    # sprig's: JSON
    "toJson": _kept(to_json),
    "mustToJson": _kept(to_json),
    "toRawJson": _kept(to_json),
    "toPrettyJson": _kept(lambda value: to_json(value, 2)),
    "fromJson": _kept(_from_json),
    # strings
    "trim": lambda text: _stripped(_text(text), None),
    "trimAll": lambda chars, text: _stripped(_text(text), _text(chars)),
    "trimLeft": lambda chars, text: _stripped(_text(text), _text(chars), right=False),
    "trimRight": lambda chars, text: _stripped(_text(text), _text(chars), left=False),
    "trimPrefix": lambda affix, text: _without(affix, text, is_prefix=True),
    "trimSuffix": lambda affix, text: _without(affix, text, is_prefix=False),
    "upper": _kept(lambda text: str(_text(text)).upper()),
    "lower": _kept(lambda text: str(_text(text)).lower()),
    "title": _kept(lambda text: re.sub(r"\b\w", lambda m: m.group().upper(), str(_text(text)))),
    "contains": lambda part, text: str(_text(part)) in str(_text(text)),
    "hasPrefix": lambda affix, text: str(_text(text)).startswith(_text(affix)),
    "hasSuffix": lambda affix, text: str(_text(text)).endswith(_text(affix)),
    "replace": _kept(_replace),
    "repeat": _kept(_repeat),
    "nospace": _kept(lambda text: re.sub(r"\s", "", str(_text(text)))),
    "trunc": lambda n, text: _slice(_text(text), 0, min(int(_number(n)), len(text))),
    "substr": lambda begin, end, text: _slice(_text(text), begin, min(end, len(text))),
    "indent": _kept(_indented),
    "nindent": _kept(lambda n, text: "\n" + _indented(n, text)),
    "quote": _kept(lambda *values: " ".join(to_json(str(printed(v))) for v in values)),
    "squote": _kept(lambda *values: " ".join(f"'{printed(v)}'" for v in values)),
    "cat": lambda *values: _join(" ", values),
    "toString": printed,
    "splitList": _kept(lambda separator, text: str(_text(text)).split(_text(separator) or None)),
    "join": _join,
    # lists and maps
    "list": lambda *items: list(items),
    "first": lambda items: _list(items)[0] if items else None,
    "last": lambda items: _list(items)[-1] if items else None,
    "rest": lambda items: list(_list(items)[1:]),
    "initial": lambda items: list(_list(items)[:-1]),
    "append": lambda items, item: [*_list(items), item],
    "has": _has,
    "until": _until,
    "dict": _dict,
    "get": lambda members, key: _map(members).get(key, ""),
    "hasKey": lambda members, key: key in _map(members),
    "keys": lambda members: sorted(_map(members)),
    # the rest
    "default": lambda other, value=None: value if is_true(value) else other,
    "empty": lambda value: not is_true(value),
    "coalesce": lambda *values: next((value for value in values if is_true(value)), None),
    "ternary": lambda yes, no, condition: yes if is_true(condition) else no,
    "add": lambda *values: sum(int(_number(value)) for value in values),
    "add1": lambda value: int(_number(value)) + 1,
    "sub": lambda left, right: int(_number(left)) - int(_number(right)),
    "mul": lambda left, right: int(_number(left)) * int(_number(right)),
    "div": _divided,
    "mod": _modulo,
    "min": lambda *values: min(int(_number(value)) for value in values),
    "max": lambda *values: max(int(_number(value)) for value in values),
    "int": _to_int,
}
