"""GBNF for objects and arrays of a JSON Schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyserve.openai.structured.json_text import braced, bracketed, constant, other_key
from pyserve.openai.structured.rules import any_of
from pyserve.openai.structured.scalars import counts

if TYPE_CHECKING:
    from pyserve.openai.structured.schema import Path, SchemaGrammar

MAX_PROPERTIES = 512
MAX_NAME_CHARS = 256  # where other members are allowed: keys are told apart by their characters
MAX_NAMES_CHARS = 4096


def object_body(grammar: SchemaGrammar, keywords: dict[str, Any], path: Path) -> str:
    """Members in the order of `properties`; others, where they are allowed, behind them.

    Without additionalProperties there are no others, unless there are no properties either.
    """
    properties, required = keywords.get("properties", {}), keywords.get("required", [])
    others = keywords.get("additionalProperties", not properties and not required)
    if grammar.is_strict:
        _check_strict(grammar, keywords, path)
    if not isinstance(properties, dict) or len(properties) > MAX_PROPERTIES:
        return grammar.report(path, "properties", f"must have at most {MAX_PROPERTIES} members")
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        return grammar.report(path, "required", "must be a list of strings")
    if len(required) > MAX_PROPERTIES:
        return grammar.report(path, "required", f"must have at most {MAX_PROPERTIES} names")
    schemas = dict(properties)
    for name in required:
        if name not in schemas and others is False and "additionalProperties" in keywords:
            return grammar.report(path, "required", "has a name that no member may have")
        schemas.setdefault(name, True if others is False else others)
    members = [
        (_member(grammar, name, schema, (*path, "properties", name)), name in required)
        for name, schema in schemas.items()
    ]
    rest = None if others is False else _others(grammar, others, list(schemas), path)
    return grammar.rules.add(braced(grammar.rules, _sequence(grammar, members, rest)))


def _others(grammar: SchemaGrammar, schema: Any, names: list[str], path: Path) -> str:
    """One or more members that are none of `names`."""
    lengths = [len(name) for name in names]
    if max(lengths, default=0) > MAX_NAME_CHARS or sum(lengths) > MAX_NAMES_CHARS:
        message = (
            f"must be false beside names of more than {MAX_NAME_CHARS} characters, or"
            f" {MAX_NAMES_CHARS} together"
        )
        return grammar.report(path, "additionalProperties", message)
    value = grammar.visit_inside(schema, (*path, "additionalProperties"))
    key = grammar.rules.add(other_key(grammar.rules, names)) if names else None
    return grammar.rules.members(key, value)


def _member(grammar: SchemaGrammar, name: str, schema: Any, path: Path) -> str:
    value = grammar.visit_inside(schema, path)
    return grammar.rules.add(f"{constant(name)} {grammar.rules.colon} {value}")


def _check_strict(grammar: SchemaGrammar, keywords: dict[str, Any], path: Path) -> None:
    if keywords.get("additionalProperties") is not False:
        message = "must be false on every object of a strict schema"
        grammar.report(path, "additionalProperties", message)
    properties, required = keywords.get("properties", {}), keywords.get("required", [])
    if isinstance(properties, dict) and isinstance(required, list):
        missing = [name for name in properties if name not in required]
        if missing:
            message = f"must name all properties of a strict schema: {len(missing)} are missing"
            grammar.report(path, "required", message)


def _sequence(grammar: SchemaGrammar, members: list[tuple[str, bool]], rest: str | None) -> str:
    """The members with their commas: `first` before any was written, `more` after one was."""
    comma, rules = grammar.rules.comma, grammar.rules
    more = f"({comma} {rest})?" if rest else '""'
    first = f"({rest})?" if rest else '""'
    for member, is_required in reversed(members):
        if is_required:
            first = f"{member} {more}"
            more = rules.add(f"{comma} {member} {more}")
        else:
            first = rules.add(any_of([f"{member} {more}", first]))
            more = rules.add(f"({comma} {member})? {more}")
    return first


def array_body(grammar: SchemaGrammar, keywords: dict[str, Any], path: Path) -> str:
    """A list of items, or a tuple with nothing behind its items."""
    if keywords.get("uniqueItems", False) is not False:
        return grammar.report(path, "uniqueItems", "is not supported")
    low, high = counts(grammar, keywords, ("minItems", "maxItems"), path)
    if "prefixItems" in keywords:
        return _tuple(grammar, keywords, low, high, path)
    items = keywords.get("items", True)
    if high == 0 or items is False:
        return grammar.rules.add(bracketed(grammar.rules, '""'))
    item = grammar.rules.add(grammar.visit_inside(items, (*path, "items")))
    most = "" if high is None else str(high - 1)
    several = f"{item} ({grammar.rules.comma} {item}){{{max(low - 1, 0)},{most}}}"
    return grammar.rules.add(bracketed(grammar.rules, several if low else f"({several})?"))


def _tuple(
    grammar: SchemaGrammar, keywords: dict[str, Any], low: int, high: int | None, path: Path
) -> str:
    items = keywords["prefixItems"]
    if not isinstance(items, list) or not low <= len(items) or (high or len(items)) < len(items):
        message = f"must be a list of schemas, {low} to {high} of them"
        return grammar.report(path, "prefixItems", message)
    parts = [
        grammar.visit_inside(item, (*path, "prefixItems", str(i))) for i, item in enumerate(items)
    ]
    inside = f" {grammar.rules.comma} ".join(parts) or '""'
    return grammar.rules.add(bracketed(grammar.rules, inside))
