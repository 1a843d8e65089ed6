"""Tables of JSON Schema keywords: annotations, and the keywords of each type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Say nothing about what is valid, or hold what $ref leads to.
ANNOTATIONS = frozenset(
    {
        "title",
        "description",
        "default",
        "example",
        "examples",
        "deprecated",
        "readOnly",
        "writeOnly",
        "discriminator",
        "$schema",
        "$comment",
        "$defs",
        "definitions",
    }
)
_BOUNDS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})
BY_TYPE: Mapping[str, frozenset[str]] = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems", "uniqueItems"}),
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "integer": _BOUNDS,
    "number": frozenset(),
    "boolean": frozenset(),
    "null": frozenset(),
}
TYPES = tuple(BY_TYPE)
_INFERRED = ("object", "array", "string")
_PYTHON_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def type_of_keywords(keywords: Mapping[str, Any]) -> str | None:
    """The type that all keywords of a schema without `type` belong to; None: there is none.

    Values of other types would be valid too; a grammar may leave them out.
    """
    for name in _INFERRED:
        if all(keyword in BY_TYPE[name] for keyword in keywords):
            return name
    return None


def has_type(value: object, name: object) -> bool:
    """Whether a JSON value is of this type; booleans are no numbers."""
    types = _PYTHON_TYPES.get(name) if isinstance(name, str) else None
    if types is None or (isinstance(value, bool) and name != "boolean"):
        return False
    return isinstance(value, types)
