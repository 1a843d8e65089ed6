"""GBNF for the arguments of a function."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec

from pyserve.errors import InvalidRequestError
from pyserve.openai.structured.constraint import ANY_OBJECT, InvalidSchemaError, place_of
from pyserve.openai.structured.json_text import JsonRules
from pyserve.openai.structured.keywords import TEXT_GRAMMAR
from pyserve.openai.structured.schema import Issue, SchemaGrammar
from pyserve.openai.structured.text_grammar import TextGrammar
from pyserve.openai.structured.validation import SchemaViolation, violation_of
from pyserve.schemas.fields.custom_tools import INPUT

MAX_RELAXATIONS = 4
_NO_ARGUMENTS: dict[str, Any] = {
    "type": "object",
    "properties": {},
    "additionalProperties": False,
}
# Where the arguments of the first call stand in a violation.
FIRST_ARGUMENTS = ".tool_calls[0].function.arguments"
_COMBINED = ("$ref", "anyOf", "oneOf", "allOf", "enum", "const")


class Function(msgspec.Struct, frozen=True):
    """A function offered to the model. parameters: JSON Schema; None: it takes no arguments.

    param: where it stands in the request, schema_name: the field of the schema there.
    is_strict: the schema must be enforced as it is. input: what the parameter `input`, a text, is.
    """

    name: str
    parameters: dict[str, Any] | None
    param: str
    is_strict: bool = False
    schema_name: str = "parameters"
    input: TextGrammar | None = None

    @property
    def schema_param(self) -> str:
        """Where its schema stands in the request."""
        return f"{self.param}.{self.schema_name}"


def arguments_expression(function: Function, rules: JsonRules) -> str:
    """The expression for the arguments of `function`, an object. Raises as `enforceable` does."""
    schema = enforceable(function)
    return SchemaGrammar(schema, is_strict=function.is_strict, rules=rules).expression


def enforceable(function: Function) -> dict[str, Any]:
    """The schema of the arguments; without strict, what is no JSON Schema in it is removed.

    Raises InvalidSchemaError for a strict one that cannot be enforced, InvalidRequestError for one
    of no objects.
    """
    schema = _object_schema(function)
    for _ in range(MAX_RELAXATIONS):
        issues = _issues(json.dumps(schema), function.is_strict)
        refuse_if_strict(function, issues)
        malformed = [issue for issue in issues if issue.is_malformed]
        if not malformed:
            return _with_input(schema, function.input)
        schema = _without(schema, malformed)
    return ANY_OBJECT


def refuse_if_strict(function: Function, issues: Sequence[Issue]) -> None:
    """Raise InvalidSchemaError for the first of `issues`, if the function is strict."""
    if function.is_strict and issues:
        place = place_of(issues[0], function.schema_param)
        subject = issues[0].keyword or "the schema"
        raise InvalidSchemaError(f"{place}: {subject} {issues[0].message}", param=place)


def issues_of(function: Function) -> tuple[Issue, ...]:
    """What the arguments of `function` are not held to, as JSON."""
    return _issues(json.dumps(_object_schema(function)), function.is_strict)


def call_violation(
    functions: Sequence[Function], calls: Sequence[tuple[str, str]]
) -> SchemaViolation | None:
    """Why the arguments of one of `calls` (name, JSON) are not valid."""
    by_name = {function.name: function for function in functions}
    for i, (name, arguments) in enumerate(calls):
        function = by_name.get(name)
        found = None if function is None else violation_of(function.parameters, arguments)
        if found is not None:
            path = f"$.tool_calls[{i}].function.arguments{found.path.removeprefix('$')}"
            return SchemaViolation(path, found.message)
    return None


@lru_cache(maxsize=256)
def _issues(schema: str, is_strict: bool) -> tuple[Issue, ...]:
    return tuple(SchemaGrammar(json.loads(schema), is_strict=is_strict).issues)


def _with_input(schema: dict[str, Any], grammar: TextGrammar | None) -> dict[str, Any]:
    if grammar is None:
        return schema
    text = {"type": "string", TEXT_GRAMMAR: grammar}
    return {**schema, "properties": {**schema.get("properties", {}), INPUT: text}}


def with_sorted_keys(schema: Any) -> Any:
    """The schema whose properties, at every depth, stand in the order of their names."""
    if isinstance(schema, list):
        return [with_sorted_keys(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    parts = {key: with_sorted_keys(part) for key, part in schema.items()}
    properties = parts.get("properties")
    if isinstance(properties, dict):
        names = sorted(properties, key=str.lower)
        parts["properties"] = {name: properties[name] for name in names}
    return parts


def any_object(rules: JsonRules) -> str:
    return SchemaGrammar(ANY_OBJECT, rules=rules).expression


def _object_schema(function: Function) -> dict[str, Any]:
    if function.parameters is None:
        return _NO_ARGUMENTS
    schema = function.parameters
    kind = schema.get("type")
    if kind is None and not any(keyword in schema for keyword in _COMBINED):
        return {**schema, "type": "object"}
    kinds = kind if isinstance(kind, list) else [kind]
    if kind is not None and "object" not in kinds:
        param = f"{function.schema_param}.type"
        raise InvalidRequestError(f'{param} must be "object": arguments are one', param=param)
    return schema if kind is None else {**schema, "type": "object"}


def _without(schema: dict[str, Any], issues: Sequence[Issue]) -> dict[str, Any]:
    """`schema` without the keywords of `issues`, or without the schemas they are in."""
    whole = {"schema": copy.deepcopy(schema)}
    for issue in issues:
        _remove(whole, ("schema", *issue.path), issue.keyword)
    return whole["schema"]


def _remove(whole: Any, path: Sequence[str], keyword: str) -> None:
    """Remove a keyword or the schema at `path`; nothing if it is gone already."""
    parent: Any = None
    step: Any = None
    node = whole
    for name in path:
        if isinstance(node, list) and name.isdecimal() and int(name) < len(node):
            parent, step = node, int(name)
        elif isinstance(node, dict) and name in node:
            parent, step = node, name
        else:
            return
        node = parent[step]
    if isinstance(node, dict) and keyword in node:
        del node[keyword]
    elif parent is not None:
        parent[step] = dict(ANY_OBJECT) if parent is whole else True
