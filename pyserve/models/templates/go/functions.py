"""Template functions: Go's own, and those of the sprig library that prompts use.

Arguments come in Go's order, the piped one last.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable
from typing import Any

from pyserve.models.templates.go.arguments import (
    FunctionError,
    as_list,
    as_map,
    as_number,
    as_text,
    kind_of,
)
from pyserve.models.templates.go.text_functions import (
    format_values,
    indented,
    join_values,
    kept,
    print_line,
    print_values,
    repeated,
    replaced,
    sliced,
    stripped,
    without_affix,
)
from pyserve.models.templates.go.values import is_true, printed, to_json

MAX_UNTIL = 1000


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key)
            continue
        items = value if isinstance(value, str) else as_list(value)
        at = int(as_number(key))
        if not 0 <= at < len(items):
            raise FunctionError(f"{at} is outside of the length {len(items)}")
        value = ord(items[at]) if isinstance(items, str) else items[at]
    return value


def _length(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, dict | list | tuple):
        return len(value)
    raise FunctionError(f"{kind_of(value)} has no length")


def _equal(first: Any, *others: Any) -> bool:
    if not others:
        raise FunctionError("needs at least two values")
    return any(first == other and kind_of(first) == kind_of(other) for other in others)


def _order(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def call(left: Any, right: Any) -> bool:
        if kind_of(left) != kind_of(right) or not isinstance(left, str | int | float):
            raise FunctionError(f"cannot compare {kind_of(left)} and {kind_of(right)}")
        return compare(left, right)

    return call


def _from_json(text: str) -> Any:
    try:
        return json.loads(as_text(text))
    except (ValueError, RecursionError) as error:
        raise FunctionError("the text is no JSON") from error


def _until(n: int) -> list[int]:
    if int(as_number(n)) > MAX_UNTIL:
        raise FunctionError(f"{n} is more than {MAX_UNTIL}")
    return list(range(int(n)))


def _divided(left: int, right: int) -> int:
    if int(as_number(right)) == 0:
        raise FunctionError("divides by zero")
    return int(int(as_number(left)) / int(right))


def _modulo(left: int, right: int) -> int:
    return int(as_number(left)) - int(right) * _divided(left, right)


def _dict(*pairs: Any) -> dict[Any, Any]:
    return {as_text(key): value for key, value in zip(pairs[::2], pairs[1::2], strict=False)}


def _to_int(value: Any) -> int:
    try:
        return int(float(value)) if value is not None else 0
    except (TypeError, ValueError, OverflowError):
        return 0


def _has(item: Any, items: Any) -> bool:
    return item in as_list(items)


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
    "slice": sliced,
    "print": print_values,
    "printf": format_values,
    "println": print_line,
    # sprig's: JSON
    "toJson": kept(to_json),
    "mustToJson": kept(to_json),
    "toRawJson": kept(to_json),
    "toPrettyJson": kept(lambda value: to_json(value, 2)),
    "fromJson": kept(_from_json),
    # strings
    "trim": lambda text: stripped(as_text(text), None),
    "trimAll": lambda chars, text: stripped(as_text(text), as_text(chars)),
    "trimLeft": lambda chars, text: stripped(as_text(text), as_text(chars), right=False),
    "trimRight": lambda chars, text: stripped(as_text(text), as_text(chars), left=False),
    "trimPrefix": lambda affix, text: without_affix(affix, text, is_prefix=True),
    "trimSuffix": lambda affix, text: without_affix(affix, text, is_prefix=False),
    "upper": kept(lambda text: str(as_text(text)).upper()),
    "lower": kept(lambda text: str(as_text(text)).lower()),
    "title": kept(lambda text: re.sub(r"\b\w", lambda m: m.group().upper(), str(as_text(text)))),
    "contains": lambda part, text: str(as_text(part)) in str(as_text(text)),
    "hasPrefix": lambda affix, text: str(as_text(text)).startswith(as_text(affix)),
    "hasSuffix": lambda affix, text: str(as_text(text)).endswith(as_text(affix)),
    "replace": kept(replaced),
    "repeat": kept(repeated),
    "nospace": kept(lambda text: re.sub(r"\s", "", str(as_text(text)))),
    "trunc": lambda n, text: sliced(as_text(text), 0, min(int(as_number(n)), len(text))),
    "substr": lambda begin, end, text: sliced(as_text(text), begin, min(end, len(text))),
    "indent": kept(indented),
    "nindent": kept(lambda n, text: "\n" + indented(n, text)),
    "quote": kept(lambda *values: " ".join(to_json(str(printed(v))) for v in values)),
    "squote": kept(lambda *values: " ".join(f"'{printed(v)}'" for v in values)),
    "cat": lambda *values: join_values(" ", values),
    "toString": printed,
    "splitList": kept(lambda separator, text: str(as_text(text)).split(as_text(separator) or None)),
    "join": join_values,
    # lists and maps
    "list": lambda *items: list(items),
    "first": lambda items: as_list(items)[0] if items else None,
    "last": lambda items: as_list(items)[-1] if items else None,
    "rest": lambda items: list(as_list(items)[1:]),
    "initial": lambda items: list(as_list(items)[:-1]),
    "append": lambda items, item: [*as_list(items), item],
    "has": _has,
    "until": _until,
    "dict": _dict,
    "get": lambda members, key: as_map(members).get(key, ""),
    "hasKey": lambda members, key: key in as_map(members),
    "keys": lambda members: sorted(as_map(members)),
    # the rest
    "default": lambda other, value=None: value if is_true(value) else other,
    "empty": lambda value: not is_true(value),
    "coalesce": lambda *values: next((value for value in values if is_true(value)), None),
    "ternary": lambda yes, no, condition: yes if is_true(condition) else no,
    "add": lambda *values: sum(int(as_number(value)) for value in values),
    "add1": lambda value: int(as_number(value)) + 1,
    "sub": lambda left, right: int(as_number(left)) - int(as_number(right)),
    "mul": lambda left, right: int(as_number(left)) * int(as_number(right)),
    "div": _divided,
    "mod": _modulo,
    "min": lambda *values: min(int(as_number(value)) for value in values),
    "max": lambda *values: max(int(as_number(value)) for value in values),
    "int": _to_int,
}
