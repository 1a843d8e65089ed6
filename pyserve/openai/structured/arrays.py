"""GBNF for arrays of JSON Schemas that hold at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyserve.openai.structured.conjunction import Impossible, Part
from pyserve.openai.structured.json_text import bracketed, constant
from pyserve.openai.structured.rules import any_of
from pyserve.openai.structured.scalars import counts

if TYPE_CHECKING:
    from pyserve.openai.structured.schema import SchemaGrammar

MAX_ANY_ORDER = 5  # values that an array without repetitions may have in any order
MAX_COUNTED = 4096


def array_body(grammar: SchemaGrammar, parts: Sequence[Part]) -> str:
    """A list of items; or a tuple, with nothing behind its items unless `items` allows it."""
    low, high = counts(grammar, parts, "minItems", "maxItems")
    rules = grammar.rules
    n_first = max((len(_first(grammar, part)) for part in parts), default=0)
    if n_first:
        return rules.add(bracketed(rules, _tuple(grammar, parts, n_first, low, high)))
    items = _items_at(grammar, parts, 0)
    is_unique = any(part.get("uniqueItems") is True for part in parts)
    try:
        if is_unique and (high is None or high > 1):
            return rules.add(bracketed(rules, _unique(grammar, parts, items, low, high)))
        item = None if high == 0 else rules.add(grammar.inside(items))
    except Impossible:
        item = None
        if low > 0:
            raise
    if item is None:
        return rules.add(bracketed(rules, '""'))
    most = "" if high is None else str(high - 1)
    several = f"{item} ({rules.comma} {item}){{{max(low - 1, 0)},{most}}}"
    return rules.add(bracketed(rules, several if low else f"({several})?"))


def _first(grammar: SchemaGrammar, part: Part) -> list[Any]:
    """The schemas of the first items; before 2020 `items` had them."""
    keyword = "prefixItems" if part.has("prefixItems") else "items"
    value = part.get(keyword)
    if isinstance(value, list):
        return value
    if keyword == "prefixItems":
        grammar.malformed(part.path, keyword, "must be a list of schemas")
    return []


def _items_at(grammar: SchemaGrammar, parts: Sequence[Part], index: int) -> list[Part]:
    """What item `index` has to be."""
    found = []
    for part in parts:
        first = _first(grammar, part)
        is_old = isinstance(part.get("items"), list)
        if index < len(first):
            keyword = "items" if is_old and not part.has("prefixItems") else "prefixItems"
            found.append(Part(first[index], (*part.path, keyword, str(index))))
            continue
        keyword = "additionalItems" if is_old else "items"
        if part.has(keyword) and not (is_old and part.has("prefixItems")):
            found.append(Part(part.get(keyword), (*part.path, keyword)))
    return found


def _tuple(
    grammar: SchemaGrammar, parts: Sequence[Part], n_first: int, low: int, high: int | None
) -> str:
    comma = grammar.rules.comma
    n_here = n_first if high is None else min(n_first, high)
    found = []
    for index in range(n_here):
        try:
            found.append(grammar.inside(_items_at(grammar, parts, index)))
        except Impossible:
            if index < low:
                raise
            break
    inside = f" {comma} ".join(found) or '""'
    _report_unique(grammar, parts)
    if len(found) < n_first or (high is not None and high <= n_first):
        return inside
    rest = _items_at(grammar, parts, n_first)
    n_least = max(low - n_first, 0)
    if not (rest or n_least):
        return inside
    try:
        item = grammar.rules.add(grammar.inside(rest))
    except Impossible:
        if n_least:
            raise
        return inside
    most = "" if high is None else str(high - n_first)
    return f"{inside} ({comma} {item}){{{n_least},{most}}}"


def _report_unique(grammar: SchemaGrammar, parts: Sequence[Part]) -> None:
    for part in parts:
        if part.get("uniqueItems") is True:
            message = "is enforced for few values of enum and const only"
            grammar.report(part.path, "uniqueItems", message)


def _unique(
    grammar: SchemaGrammar,
    parts: Sequence[Part],
    items: Sequence[Part],
    low: int,
    high: int | None,
) -> str:
    """Items that differ: a few values in any order, more in the order of `enum`."""
    values = grammar.finite_values(items)
    if values is not None and len(values) < low:
        raise Impossible(parts[0].path, "uniqueItems", "leaves fewer items than minItems")
    n_counted = 0 if values is None else (len(values) + 1) * (max(low, high or 0) + 1)
    if values is None or n_counted > MAX_COUNTED:
        _report_unique(grammar, parts)
        item, comma = grammar.rules.add(grammar.inside(items)), grammar.rules.comma
        most = "" if high is None else str(high - 1)
        several = f"{item} ({comma} {item}){{{max(low - 1, 0)},{most}}}"
        return several if low else f"({several})?"
    texts = [constant(value) for value in values]
    if len(texts) <= MAX_ANY_ORDER:
        return _any_order(grammar, tuple(texts), 0, low, high)
    return _in_order(grammar, texts, low, high)


def _any_order(
    grammar: SchemaGrammar, left: tuple[str, ...], n: int, low: int, high: int | None
) -> str:
    parts = ['""'] if n >= low else []
    if high is None or n < high:
        comma = grammar.rules.comma if n else ""
        for text in left:
            others = tuple(one for one in left if one != text)
            parts.append(f"{comma} {text} {_any_order(grammar, others, n + 1, low, high)}")
    return grammar.rules.add(any_of(parts))


def _in_order(grammar: SchemaGrammar, texts: Sequence[str], low: int, high: int | None) -> str:
    comma, rules = grammar.rules.comma, grammar.rules
    n_told = max(low, high or 0, 1)
    after: list[str | None] = ['""' if n >= low else None for n in range(n_told + 1)]
    for text in reversed(texts):
        before: list[str | None] = []
        for n in range(n_told + 1):
            following = after[min(n + 1, n_told)]
            can_be = following is not None and (high is None or n < high)
            told = [f"{comma if n else ''} {text} {following}"] if can_be else []
            skipped = after[n]
            told += [skipped] if skipped is not None else []
            before.append(rules.add(any_of(told)) if told else None)
        after = before
    assert after[0] is not None
    return after[0]
