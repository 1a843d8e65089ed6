"""Tool calls whose arguments stand between tags instead of in a JSON object.

<parameter=city>
Oslo
</parameter>
"""

from __future__ import annotations

from typing import Any

from pyserve.openai.structured.json_text import JsonRules
from pyserve.openai.structured.rules import any_of, literal
from pyserve.openai.structured.schema import SchemaGrammar
from pyserve.openai.tools.arguments import Function, enforceable
from pyserve.openai.tools.formats import CallFormat
from pyserve.openai.tools.free_text import loose, text_until

_NAME = "([a-zA-Z0-9_] [a-zA-Z0-9_.-]{0,63})"


def text_parameters(function: Function) -> frozenset[tuple[str, str]]:
    """The parameters of `function` whose values are texts, each with its name."""
    properties = (function.parameters or {}).get("properties")
    if not isinstance(properties, dict):
        return frozenset()
    return frozenset(
        (function.name, name) for name, schema in properties.items() if _is_text(schema)
    )


def _is_text(schema: Any) -> bool:
    if not isinstance(schema, dict):
        return False
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if isinstance(values, list):
        return all(isinstance(value, str) for value in values)
    return bool(schema.get("type") == "string")


def tagged_arguments(
    function: Function, layout: CallFormat, rules: JsonRules, *, is_loose: bool
) -> str:
    """The expression for the arguments; they come in the order of `properties`.

    String values stand unquoted between the tags; all other values are JSON by their schemas.
    """
    schema = {} if is_loose else enforceable(function)
    properties, required = schema.get("properties"), schema.get("required", [])
    if not properties:
        if "additionalProperties" in schema and schema["additionalProperties"] is False:
            return '""'
        value = text_until(rules, layout.value_end, '""', can_end=False)[0]
        key = f"{loose(rules, layout.key_begin)} {_NAME} {loose(rules, layout.key_end)}"
        return f"({rules.space} {key} {value})*"
    grammar = SchemaGrammar(schema, is_strict=function.is_strict, rules=rules)
    members = []
    for name, part in properties.items():
        key = f"{literal(layout.key_begin + name)} {loose(rules, layout.key_end)}"
        member = f"{rules.space} {key} {_value(grammar, name, part, layout)}"
        members.append(f"({member})" if name in required else f"({member})?")
    return " ".join(members)


def _value(grammar: SchemaGrammar, name: str, schema: Any, layout: CallFormat) -> str:
    rules = grammar.rules
    assert isinstance(rules, JsonRules)
    end = literal(layout.value_end)
    if not _is_text(schema):
        value = grammar.visit_inside(schema, ("properties", name))
        return f"{rules.space} {value} {rules.space} {end}"
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if values is not None:
        return f'"\\n"? {any_of(literal(value) for value in values)} "\\n"? {end}'
    return text_until(rules, layout.value_end, '""', can_end=False)[0]
