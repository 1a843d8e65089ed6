"""Proves that no value is valid against two of several schemas (for `oneOf`)."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any

Resolve = Callable[[object], Any]

MAX_COMPARED = 64


def are_disjoint(schemas: Sequence[Any], resolve: Resolve) -> bool:
    """Compares constants; or, for up to MAX_COMPARED schemas, types and required members."""
    plain = [_followed(schema, resolve) for schema in schemas]
    constants = [_constants(schema) or set() for schema in plain]
    if all(constants):
        return len(set().union(*constants)) == sum(map(len, constants))
    pairs = itertools.combinations(plain, 2)
    return len(plain) <= MAX_COMPARED and all(
        _differ(a, b) or _members_differ(a, b, resolve) for a, b in pairs
    )


def _followed(schema: Any, resolve: Resolve) -> dict[str, Any]:
    for _ in range(8):
        if not isinstance(schema, dict):
            return {}
        if "$ref" not in schema:
            return schema
        schema = resolve(schema["$ref"])
    return {}


def _differ(a: dict[str, Any], b: dict[str, Any]) -> bool:
    constants = _constants(a), _constants(b)
    if None not in constants and not set(constants[0] or ()) & set(constants[1] or ()):
        return True
    types = _types(a), _types(b)
    return bool(types[0] and types[1] and not types[0] & types[1])


def _members_differ(a: dict[str, Any], b: dict[str, Any], resolve: Resolve) -> bool:
    """Whether a member that both schemas require is different in the two."""
    if not _types(a) == _types(b) == {"object"}:
        return False
    names = _required(a) & _required(b)
    return any(_differ(_member(a, name, resolve), _member(b, name, resolve)) for name in names)


def _constants(schema: dict[str, Any]) -> set[str] | None:
    """The values of `const` or `enum` as JSON."""
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if not values or not isinstance(values, list):
        return None
    return {json.dumps(value, sort_keys=True) for value in values}


def _types(schema: dict[str, Any]) -> set[str]:
    types = schema.get("type", "object" if "properties" in schema else [])
    listed = types if isinstance(types, list) else [types]
    names = {name for name in listed if isinstance(name, str)}
    return names | ({"integer"} if "number" in names else set())


def _required(schema: dict[str, Any]) -> set[str]:
    required = schema.get("required")
    names = required if isinstance(required, list) else []
    return {name for name in names if isinstance(name, str)}


def _member(schema: dict[str, Any], name: str, resolve: Resolve) -> dict[str, Any]:
    properties = schema.get("properties")
    return _followed(properties.get(name), resolve) if isinstance(properties, dict) else {}
