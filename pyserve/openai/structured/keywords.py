"""Tables of JSON Schema keywords: annotations, those that are known, those of each type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

# Say nothing about what is valid, or hold what $ref leads to.
ANNOTATIONS = frozenset(
    {
        *("title", "description", "default", "example", "examples", "deprecated"),
        *("readOnly", "writeOnly", "discriminator", "externalDocs", "xml"),
        *("contentEncoding", "contentMediaType", "contentSchema"),
        *("$schema", "$id", "$comment", "$defs", "definitions", "$vocabulary", "$anchor"),
    }
)
TEXT_GRAMMAR = "x-text-grammar"  # ours: a TextGrammar for a string, which no request can hold
_BOUNDS = frozenset(
    {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "format"}
)
BY_TYPE: Mapping[str, frozenset[str]] = {
    "object": frozenset(
        {
            *("properties", "required", "additionalProperties", "patternProperties"),
            *("propertyNames", "minProperties", "maxProperties"),
        }
    ),
    "array": frozenset(
        {"items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems"}
    ),
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "integer": _BOUNDS,
    "number": _BOUNDS,
    "boolean": frozenset(),
    "null": frozenset(),
}
TYPES = tuple(BY_TYPE)
_INFERRED = ("object", "array", "string", "number")
KNOWN = frozenset({"type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref"}).union(
    ANNOTATIONS, *BY_TYPE.values(), {"then", "else", "minContains", "maxContains"}
)
_PYTHON_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def is_annotation(keyword: str) -> bool:
    """Whether a keyword says nothing about what is valid; also all that begin with `x-`."""
    return keyword in ANNOTATIONS or keyword.startswith("x-")


def types_of_keywords(keywords: Iterable[str]) -> tuple[str, ...] | None:
    """The types for a schema without `type`: the one that all its keywords are of, else all.

    None: no keyword is of a type.

    Values of other types would be valid too; a grammar may leave them out.
    """
    of_types = [keyword for keyword in keywords if any(keyword in own for own in BY_TYPE.values())]
    if not of_types:
        return None
    for name in _INFERRED:
        if all(keyword in BY_TYPE[name] for keyword in of_types):
            return (name,)
    return tuple(name for name in TYPES if name != "integer")


def has_type(value: object, name: object) -> bool:
    """Whether a JSON value is of this type; booleans are no numbers, whole numbers are integers."""
    types = _PYTHON_TYPES.get(name) if isinstance(name, str) else None
    if types is None or (isinstance(value, bool) and name != "boolean"):
        return False
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, types)
