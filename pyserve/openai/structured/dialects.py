"""What some write in a JSON Schema as everybody else does: references by $id and $anchor become
those by place, `#/...`; what `_common` lists becomes what it means.

Source: JSON Schema 2020-12, 8.2 (base URIs, $id, $anchor); Draft 7 writes an anchor as `$id: #x`.
OpenAPI 3.0.3, Schema Object (`nullable`, exclusive bounds that are booleans, as in Draft 4).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urldefrag, urljoin

from pyserve.openai.structured.keywords import TYPES

# Where schemas stand in a schema: by name, in a list, alone. Elsewhere are data.
_BY_NAME = frozenset(
    {
        *("properties", "patternProperties", "$defs", "definitions", "dependentSchemas"),
        "dependencies",
    }
)
_IN_LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems", "items"})
_ALONE = frozenset(
    {
        *("items", "additionalItems", "additionalProperties", "contains", "not", "if", "then"),
        *("else", "propertyNames", "unevaluatedItems", "unevaluatedProperties", "contentSchema"),
    }
)
_CAPITALS = {name.upper(): name for name in TYPES}
_NAMED = ("$id", "$anchor")
_NULLABLE = frozenset({"const", "default", "example"})
_BOUNDS = {"minimum": "exclusiveMinimum", "maximum": "exclusiveMaximum"}


def plain_schema(schema: Any) -> Any:
    """`schema` in plain words; itself where it has them already. What leads nowhere stays."""
    found = _Names()
    found.read(schema, "", "")
    if not (found.is_needed or _is_uncommon(schema)):
        return schema
    return _Plain(found if found.is_needed else None).written(schema, "")


class _Names:
    """places: of schemas, by their URI and anchor. is_needed: a reference may use them."""

    def __init__(self) -> None:
        self.places: dict[tuple[str, str], str] = {}
        self.is_needed = False

    def read(self, schema: Any, place: str, base: str) -> None:
        if not isinstance(schema, dict):
            return
        self.is_needed = self.is_needed or any(isinstance(schema.get(name), str) for name in _NAMED)
        base, anchor = base_of(schema, base)
        if place == "" or base_of(schema, "")[0]:
            self.places.setdefault((base, ""), place)
        for each in (anchor, schema.get("$anchor")):
            if isinstance(each, str) and each:
                self.places.setdefault((base, each), place)
        for step, inner in _inside(schema):
            self.read(inner, place + step, base)

    def place_of(self, reference: str, base: str) -> str | None:
        """Where a reference leads that stands in a schema of this base; None: nowhere here."""
        uri, fragment = _split(reference, base)
        if fragment and not fragment.startswith("/"):
            return self.places.get((uri, fragment))
        place = self.places.get((uri, ""))
        return None if place is None else place + fragment


class _Plain:
    """names: None: no reference changes."""

    def __init__(self, names: _Names | None) -> None:
        self._names = names

    def written(self, schema: Any, base: str) -> Any:
        if not isinstance(schema, dict):
            return schema
        schema = _common(schema)
        base, _ = base_of(schema, base)
        plain = {key: self._value(key, value, base) for key, value in schema.items()}
        if self._names is None:
            return plain
        reference = plain.get("$ref")
        if isinstance(reference, str):
            place = self._names.place_of(reference, base)
            plain["$ref"] = reference if place is None else f"#{place}"
        return {
            key: value
            for key, value in plain.items()
            if key not in _NAMED or not isinstance(value, str)
        }

    def _value(self, key: str, value: Any, base: str) -> Any:
        if key in _BY_NAME and isinstance(value, dict):
            return {name: self.written(inner, base) for name, inner in value.items()}
        if key in _IN_LISTS and isinstance(value, list):
            return [self.written(inner, base) for inner in value]
        return self.written(value, base) if key in _ALONE else value


def base_of(schema: dict[str, Any], base: str) -> tuple[str, str]:
    """The base URI of what is in a schema, and the anchor that its $id is in Draft 7."""
    given = schema.get("$id")
    if not isinstance(given, str):
        return base, ""
    uri, fragment = _split(given, base)
    return uri, fragment if given.startswith("#") else ""


def _split(reference: str, base: str) -> tuple[str, str]:
    """The URI of a reference, and its fragment as it is written."""
    uri, fragment = urldefrag(reference)
    if not uri:
        return base, fragment
    try:
        return urljoin(base, uri), fragment
    except ValueError:
        return uri, fragment


def _inside(schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The schemas in a schema, each with the way to it, as in references."""
    for key, value in schema.items():
        if key in _BY_NAME and isinstance(value, dict):
            for name, inner in value.items():
                yield f"/{_step(key)}/{_step(name)}", inner
        elif key in _IN_LISTS and isinstance(value, list):
            for i, inner in enumerate(value):
                yield f"/{_step(key)}/{i}", inner
        elif key in _ALONE:
            yield f"/{_step(key)}", value


def _step(name: str) -> str:
    return quote(name.replace("~", "~0").replace("/", "~1"), safe="~$")


def _is_uncommon(schema: Any) -> bool:
    if not isinstance(schema, dict):
        return False
    return _common(schema) is not schema or any(_is_uncommon(inner) for _, inner in _inside(schema))


def _common(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema as most write it, without regard to those in it; itself where it is.

    Keywords that are null, as programs in Go write what is not set, are absent. Types in capitals
    and `propertyOrdering` are Gemini's, `any` is Draft 3's.
    """
    if not _is_said_otherwise(schema):
        return schema
    plain = {key: value for key, value in schema.items() if value is not None or key in _NULLABLE}
    names = plain.get("type")
    plain["type"] = _small(names)
    if names is None or "any" in (names if isinstance(names, list) else [names]):
        del plain["type"]
    if isinstance(plain.get("nullable"), bool):
        _be_nullable(plain, is_nullable=plain.pop("nullable"))
    for bound, exclusive in _BOUNDS.items():
        if isinstance(plain.get(exclusive), bool) and plain.pop(exclusive) and bound in plain:
            plain[exclusive] = plain.pop(bound)
    order, members = plain.get("propertyOrdering"), plain.get("properties")
    if isinstance(order, list) and isinstance(members, dict):
        first = [name for name in order if isinstance(name, str) and name in members]
        plain["properties"] = {name: members[name] for name in [*first, *members]}
        del plain["propertyOrdering"]
    return plain


def _is_said_otherwise(schema: dict[str, Any]) -> bool:
    names = schema.get("type")
    return (
        any(value is None and key not in _NULLABLE for key, value in schema.items())
        or _small(names) != names
        or "any" in (names if isinstance(names, list) else [names])
        or isinstance(schema.get("nullable"), bool)
        or any(isinstance(schema.get(each), bool) for each in _BOUNDS.values())
        or (
            isinstance(schema.get("propertyOrdering"), list)
            and isinstance(schema.get("properties"), dict)
        )
    )


def _be_nullable(schema: dict[str, Any], *, is_nullable: bool) -> None:
    """Adds null to the types; without `type` the keyword means nothing."""
    names = schema.get("type")
    if is_nullable and isinstance(names, str | list):
        listed = [names] if isinstance(names, str) else names
        schema["type"] = [*listed, *([] if "null" in listed else ["null"])]


def _small(given: Any) -> Any:
    if isinstance(given, list):
        return [_small(each) for each in given]
    return _CAPITALS.get(given, given) if isinstance(given, str) else given
