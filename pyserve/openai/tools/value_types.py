"""Which JSON types the values in a function's arguments have, by their schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pyserve.openai.tools.arguments import Function
from pyserve.openai.tools.formats import ITEM

MAX_DEPTH = 8  # of values whose types are told apart
Types = frozenset[str]
ValuePath = tuple[str, ...]
ValueTypes = Mapping[ValuePath, Types]
TEXT: Types = frozenset({"string"})
OPTIONAL_TEXT: Types = frozenset({"string", "null"})
OBJECT: Types = frozenset({"object"})
UNKNOWN: Types = frozenset()
_OF_CONSTANTS = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "array",
    dict: "object",
    type(None): "null",
}


def value_types(function: Function) -> dict[ValuePath, Types]:
    """The types that are known, by function, parameter and members."""
    return dict(_inside((function.name,), function.parameters or {}, OBJECT))


def _inside(
    path: ValuePath, schema: dict[str, Any], types: Types
) -> Iterator[tuple[ValuePath, Types]]:
    properties = schema.get("properties") if "object" in types else None
    parts = dict(properties) if isinstance(properties, dict) else {}
    if "array" in types:
        parts[ITEM] = schema.get("items")
    for name, part in parts.items():
        found = types_of(part)
        if found:
            yield (*path, name), found
        if isinstance(part, dict) and len(path) < MAX_DEPTH:
            yield from _inside((*path, name), part, found)


def types_of(schema: Any) -> Types:
    """The types of the values that a schema allows; UNKNOWN: they may be any."""
    if not isinstance(schema, dict):
        return UNKNOWN
    values = constants_of(schema)
    if values is not None:
        return frozenset(_OF_CONSTANTS.get(type(value), "object") for value in values)
    kind = schema.get("type")
    if isinstance(kind, str):
        return frozenset({kind})
    if isinstance(kind, list):
        return frozenset(one for one in kind if isinstance(one, str))
    parts = schema.get("anyOf", schema.get("oneOf"))
    found = [types_of(part) for part in parts] if isinstance(parts, list) else []
    return UNKNOWN.union(*found) if all(found) else UNKNOWN


def constants_of(schema: dict[str, Any]) -> list[Any] | None:
    """The only values of a schema, if it lists them."""
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    return values if isinstance(values, list) else None
