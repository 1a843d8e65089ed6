"""GBNF for strings and numbers of a JSON Schema."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pyserve.openai.structured.integers import integer_range
from pyserve.openai.structured.json_text import FORMATS, INTEGER, quoted
from pyserve.openai.structured.regex import UnsupportedRegexError, json_pattern
from pyserve.openai.structured.rules import repeated

if TYPE_CHECKING:
    from pyserve.openai.structured.schema import Path, SchemaGrammar

MAX_COUNT = 4096
MAX_BOUND = 10**15


def string(grammar: SchemaGrammar, keywords: dict[str, Any], path: Path) -> str:
    """A string with a pattern, a format or a length; one of them."""
    if "pattern" in keywords or "format" in keywords:
        keyword = "pattern" if "pattern" in keywords else "format"
        for other in keywords:
            if other != keyword:
                grammar.report(path, other, f"is not supported beside {keyword}")
        return (_pattern if keyword == "pattern" else _format)(grammar, keywords[keyword], path)
    low, high = counts(grammar, keywords, ("minLength", "maxLength"), path)
    if low == 0 and high is None:
        return grammar.rules.string
    return grammar.rules.add(quoted(repeated(grammar.rules.char, low, high)))


def _pattern(grammar: SchemaGrammar, pattern: Any, path: Path) -> str:
    if not isinstance(pattern, str):
        return grammar.report(path, "pattern", "must be a string")
    try:
        return grammar.rules.add(quoted(json_pattern(pattern)))
    except UnsupportedRegexError as error:
        return grammar.report(path, "pattern", str(error))


def _format(grammar: SchemaGrammar, name: Any, path: Path) -> str:
    expression = FORMATS.get(name) if isinstance(name, str) else None
    if expression is None:
        return grammar.report(path, "format", f"must be of {', '.join(FORMATS)}")
    return grammar.rules.add(quoted(expression))


def counts(
    grammar: SchemaGrammar, keywords: dict[str, Any], names: tuple[str, str], path: Path
) -> tuple[int, int | None]:
    """The bounds of a length; None: no limit."""
    for name in names:
        value = keywords.get(name, 0)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_COUNT:
            grammar.report(path, name, f"must be an integer from 0 to {MAX_COUNT}")
            return 0, None
    low = int(keywords.get(names[0], 0))
    high = int(keywords[names[1]]) if names[1] in keywords else None
    if high is not None and high < low:
        grammar.report(path, names[1], f"is {high}, less than {names[0]}, {low}")
        return 0, None
    return low, high


def number(grammar: SchemaGrammar, name: str, keywords: dict[str, Any], path: Path) -> str:
    """A number; only integers can have bounds."""
    if name == "number":
        return grammar.rules.number
    if not keywords:
        return grammar.rules.add(INTEGER)
    bounds: dict[str, int | None] = {}
    for keyword, value in keywords.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            return grammar.report(path, keyword, "must be a number")
        if not abs(value) <= MAX_BOUND:
            return grammar.report(path, keyword, f"must be from -{MAX_BOUND} to {MAX_BOUND}")
        bounds[keyword] = _whole(keyword, value)
    low = _strictest(max, bounds.get("minimum"), bounds.get("exclusiveMinimum"))
    high = _strictest(min, bounds.get("maximum"), bounds.get("exclusiveMaximum"))
    expression = integer_range(low, high)
    if expression is None:
        return grammar.report(path, sorted(keywords)[0], f"leaves no integer from {low} to {high}")
    return grammar.rules.add(expression)


def _whole(keyword: str, value: float) -> int:
    """The inclusive integer bound that is equivalent to a bound on numbers."""
    if keyword == "minimum":
        return math.ceil(value)
    if keyword == "maximum":
        return math.floor(value)
    return math.floor(value) + 1 if keyword == "exclusiveMinimum" else math.ceil(value) - 1


def _strictest(choose: Any, *bounds: int | None) -> int | None:
    given = [bound for bound in bounds if bound is not None]
    return choose(given) if given else None
