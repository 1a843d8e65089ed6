"""Template functions on strings, which keep the marks of users' characters.

What a function makes of a user's text is a user's text; parts of a string stay what they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from pyserve.models.templates.go.arguments import (
    FunctionError,
    as_list,
    as_number,
    as_text,
    kind_of,
)
from pyserve.models.templates.go.marked import Marked, Run, all_marked, is_marked, joined, runs_of
from pyserve.models.templates.go.values import printed, to_json

MAX_REPEATED_CHARS = 64 * 1024
_VERB = re.compile(r"%[-+# 0]*\d{0,3}(?:\.\d{1,3})?([a-zA-Z%])")


def kept(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps a string function: the result is marked if one of its arguments is."""

    def call(*args: Any) -> Any:
        result = function(*args)
        return all_marked(result) if is_marked(args) else result

    return call


def cutting(find: Callable[[str], tuple[int, int]]) -> Callable[[str], str]:
    """Wraps a function that cuts a string: every character keeps its mark."""

    def call(text: str) -> str:
        begin, end = find(str(text))
        return text.cut(begin, end) if isinstance(text, Marked) else str(text)[begin:end]

    return call


def stripped(text: str, chars: str | None, *, left: bool = True, right: bool = True) -> str:
    def find(plain: str) -> tuple[int, int]:
        end = len(plain.rstrip(chars)) if right else len(plain)
        begin = len(plain) - len(plain.lstrip(chars)) if left else 0
        return min(begin, end), end

    return cutting(find)(text)


def without_affix(affix: str, text: str, *, is_prefix: bool) -> str:
    plain, affix = str(as_text(text)), str(as_text(affix))
    if is_prefix:
        begin = len(affix) if plain.startswith(affix) else 0
        return cutting(lambda _: (begin, len(plain)))(text)
    end = len(plain) - len(affix) if affix and plain.endswith(affix) else len(plain)
    return cutting(lambda _: (0, end))(text)


def sliced(value: Any, *bounds: int) -> Any:
    whole = value if isinstance(value, str) else as_list(value)
    begin = bounds[0] if bounds else 0
    end = bounds[1] if len(bounds) > 1 else len(whole)
    if not 0 <= begin <= end <= len(whole):
        raise FunctionError(f"{begin}:{end} is outside of the length {len(whole)}")
    return (
        cutting(lambda _: (begin, end))(whole) if isinstance(whole, str) else list(whole[begin:end])
    )


def format_values(form: str, *args: Any) -> Marked:
    runs: list[Run] = []
    pos, rest = 0, list(args)
    for match in _VERB.finditer(as_text(form)):
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
        raise FunctionError(f"{verb} does not fit {kind_of(value)}")
    number = as_number(value)
    return joined([(verb % (int(number) if kind in "dxXoc" else number), False)])


def print_values(*args: Any) -> Marked:
    runs: list[Run] = []
    for i, arg in enumerate(args):
        if i and not isinstance(arg, str) and not isinstance(args[i - 1], str):
            runs.append((" ", False))
        runs += printed(arg).runs
    return joined(runs)


def print_line(*args: Any) -> Marked:
    runs: list[Run] = []
    for i, arg in enumerate(args):
        runs += [(" ", False)] if i else []
        runs += printed(arg).runs
    return joined([*runs, ("\n", False)])


def join_values(separator: str, items: Any) -> Marked:
    runs: list[Run] = []
    for i, item in enumerate(as_list(items)):
        runs += runs_of(as_text(separator)) if i else ()
        runs += printed(item).runs
    return joined(runs)


def repeated(count: int, text: str) -> str:
    n_chars = int(as_number(count)) * len(as_text(text))
    if n_chars > MAX_REPEATED_CHARS:
        raise FunctionError(f"makes {n_chars:,} characters, at most {MAX_REPEATED_CHARS:,}")
    return str(text) * int(count)


def replaced(old: str, new: str, text: str) -> str:
    plain, old, new = str(as_text(text)), str(as_text(old)), str(as_text(new))
    if plain.count(old) * len(new) > 64 * MAX_REPEATED_CHARS:
        raise FunctionError("makes too long a text")
    return plain.replace(old, new)


def indented(n: int, text: str) -> str:
    pad = " " * min(max(int(as_number(n)), 0), 64)
    return pad + str(as_text(text)).replace("\n", "\n" + pad)
