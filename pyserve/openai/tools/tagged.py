"""Tool calls whose arguments stand between tags instead of in a JSON object.

<parameter=city>
Oslo
</parameter>
"""

from __future__ import annotations

from typing import Any

import msgspec

from pyserve.openai.structured.json_text import JsonRules
from pyserve.openai.structured.keywords import TEXT_GRAMMAR
from pyserve.openai.structured.regex import raw_char
from pyserve.openai.structured.rules import any_of, literal
from pyserve.openai.structured.schema import SchemaGrammar
from pyserve.openai.structured.text_grammar import TextGrammar
from pyserve.openai.tools.arguments import Function, enforceable
from pyserve.openai.tools.formats import HOLE, CallFormat
from pyserve.openai.tools.free_text import loose, text_until

PYTHON_WORDS = {"boolean": '"True" | "False"', "null": '"None"'}
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
        return _any_members(layout, rules)
    grammar = SchemaGrammar(schema, is_strict=function.is_strict, rules=rules)
    members = []
    for name, part in properties.items():
        key_end = layout.key_end.replace(HOLE, layout.types.get(_type_of(part), HOLE))
        key = f"{literal(layout.key_begin + name)} {loose(rules, key_end)}"
        member = f"{rules.space} {key} {_value(grammar, name, part, layout)}"
        members.append(f"({member})" if name in required else f"({member})?")
    return " ".join(members)


def _any_members(layout: CallFormat, rules: JsonRules) -> str:
    if layout.kind == "elements":  # ends with the name that it begins with: no grammar knows that
        return text_until(rules, layout.arguments_end, '""', can_end=False)[0]
    value = text_until(rules, layout.value_end, '""', can_end=False)[0]
    kinds = {layout.key_end.replace(HOLE, kind) for kind in layout.types.values()}
    key_end = any_of(loose(rules, kind) for kind in sorted(kinds or {layout.key_end}))
    key = f"{loose(rules, layout.key_begin)} {_NAME} {key_end}"
    return f"({rules.space} {key} {value})*"


def _type_of(schema: Any) -> str:
    """The JSON type of the values of `schema`, as far as it says one."""
    if _is_text(schema):
        return "string"
    kind = schema.get("type") if isinstance(schema, dict) else None
    return kind if isinstance(kind, str) else "object"


def _value(grammar: SchemaGrammar, name: str, schema: Any, layout: CallFormat) -> str:
    rules = grammar.rules
    assert isinstance(rules, JsonRules)
    end = literal(layout.value_end)
    if layout.kind == "elements":
        value_end = f"{layout.value_end}{name}{layout.key_end}"
        end = literal(value_end)
        if _type_of(schema) in ("object", "array"):
            return text_until(rules, value_end, '""', can_end=False)[0]
        layout = msgspec.structs.replace(layout, value_end=value_end)
    if not _is_text(schema):
        value = grammar.visit_inside(schema, ("properties", name))
        if _type_of(schema) in PYTHON_WORDS:  # some templates write them so, and their models do
            value = any_of([value, PYTHON_WORDS[_type_of(schema)]])
        return f"{rules.space} {value} {rules.space} {end}"
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    line_break = '"\\n"?' if layout.has_line_breaks else '""'
    if isinstance(schema.get(TEXT_GRAMMAR), TextGrammar):
        text = rules.add(schema[TEXT_GRAMMAR].expression(rules, raw_char))
        return f"{line_break} {text} {line_break} {end}"
    if values is not None:
        return f"{line_break} {any_of(literal(value) for value in values)} {line_break} {end}"
    return text_until(rules, layout.value_end, '""', can_end=False)[0]
