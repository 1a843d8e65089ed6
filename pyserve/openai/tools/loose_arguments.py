"""GBNF for arguments that are nearly JSON: `f(city='Oslo')`, `f{city:<|"|>Oslo<|"|>}`."""

from __future__ import annotations

from typing import Any

from pyserve.openai.structured.json_text import BOOLEAN, NULL, NUMBER, JsonRules
from pyserve.openai.structured.keywords import ANNOTATIONS
from pyserve.openai.structured.rules import any_of, char_class, literal
from pyserve.openai.structured.schema import SchemaGrammar
from pyserve.openai.tools.arguments import Function, enforceable
from pyserve.openai.tools.formats import CallFormat
from pyserve.openai.tools.free_text import text_until
from pyserve.openai.tools.tagged import PYTHON_WORDS

MAX_DEPTH = 5  # of objects held to their schemas in quotes that are not JSON's
_NAME = "([a-zA-Z_] [a-zA-Z0-9_.-]{0,63})"
_QUOTE, _ESCAPE = "'", "\\"
_PLAIN = char_class(
    [(0, 0x1F), (0x7F, 0x7F), *((ord(char), ord(char)) for char in (_QUOTE, _ESCAPE))],
    is_negated=True,
)
_PYTHON = {
    **PYTHON_WORDS,
    "string": f"{literal(_QUOTE)} ({_PLAIN} | {literal(_ESCAPE)} [nrt'\"\\\\])* {literal(_QUOTE)}",
}
_FREE = ANNOTATIONS | {"type"}  # keywords of a text that may be any
_ONES = ("boolean", "null", "integer", "number")


def loose_arguments(
    function: Function, layout: CallFormat, rules: JsonRules, *, is_loose: bool
) -> str:
    """The expression for the arguments of `function` and what is around them."""
    schema = {} if is_loose else enforceable(function)
    grammar = SchemaGrammar(schema, is_strict=function.is_strict, rules=rules)
    if layout.kind == "pythonic":
        values = _Values(grammar, "")
        return f'"(" {values.members(schema, (), "=")} ")"'
    values = _Values(grammar, layout.quote)
    return f'"{{" {values.members(schema, (), ":")} "}}"'


class _Values:
    """Writes values; quote: around texts, "": values are JSON, which Python reads as well."""

    def __init__(self, grammar: SchemaGrammar, quote: str) -> None:
        assert isinstance(grammar.rules, JsonRules)
        self._grammar = grammar
        self._rules = grammar.rules
        self._quote = quote
        self._any: str | None = None

    def members(self, schema: dict[str, Any], path: tuple[str, ...], sign: str) -> str:
        """The members of an object in the order of its properties; each follows a comma or none."""
        properties, required = schema.get("properties"), schema.get("required", [])
        comma = self._rules.comma
        if not properties:
            if schema.get("additionalProperties", True) is False:
                return '""'
            one = self._rules.add(f"{_NAME} {literal(sign)} {self._value(True, path)}")
            return f"({one} ({comma} {one})*)?"
        rest = {True: self._rules.add('""'), False: self._rules.add('""')}  # after one, after none
        for name, part in reversed(properties.items()):
            value = self._value(part, (*path, "properties", name))
            member = self._rules.add(f"{literal(name + sign)} {value}")
            after = rest[True]
            told = {True: f"{comma} {member} {after}", False: f"{member} {after}"}
            if name not in required:
                told = {has_one: any_of([one, rest[has_one]]) for has_one, one in told.items()}
            rest = {has_one: self._rules.add(one) for has_one, one in told.items()}
        return rest[False]

    def _value(self, schema: Any, path: tuple[str, ...]) -> str:
        if not self._quote:
            return self._python_value(schema, path)
        if not isinstance(schema, dict) or len(path) > 2 * MAX_DEPTH:
            return self._any_value()
        if "enum" in schema or "const" in schema:
            values = schema.get("enum", [schema.get("const")])
            return any_of(literal(self._written(value)) for value in values)
        if schema.get("type") in _ONES:
            return self._grammar.visit_inside(schema, path)
        return self._quoted_value(schema, path)

    def _python_value(self, schema: Any, path: tuple[str, ...]) -> str:
        """A value as JSON, or where that is another one as Python writes it."""
        json_value = self._grammar.visit_inside(schema, path)
        if not isinstance(schema, dict):
            return json_value
        values = schema.get("enum", [schema["const"]] if "const" in schema else None)
        if isinstance(values, list):
            return any_of([json_value, *(literal(repr(value)) for value in values)])
        written = _PYTHON.get(str(schema.get("type")))
        if written is None or (schema.get("type") == "string" and not schema.keys() <= _FREE):
            return json_value
        return any_of([json_value, written])

    def _quoted_value(self, schema: dict[str, Any], path: tuple[str, ...]) -> str:
        kind = schema.get("type")
        if kind == "string":
            return self._text()
        if kind == "array":
            item = self._value(schema.get("items", True), (*path, "items"))
            return f'"[" ({item} ({self._rules.comma} {item})*)? "]"'
        if kind == "object":
            return f'"{{" {self.members(schema, path, ":")} "}}"'
        return self._any_value()

    def _text(self) -> str:
        text = text_until(self._rules, self._quote, '""', can_end=False)[0]
        return self._rules.add(f"{literal(self._quote)} {text}")

    def _any_value(self) -> str:
        if self._any is None:
            self._any = self._rules.reserve()
            comma = self._rules.comma
            pair = self._rules.add(f'{_NAME} ":" {self._any}')
            items = f'"[" ({self._any} ({comma} {self._any})*)? "]"'
            pairs = f'"{{" ({pair} ({comma} {pair})*)? "}}"'
            parts = [self._text(), NUMBER, BOOLEAN, NULL, items, pairs]
            self._rules.define(self._any, any_of(parts))
        return self._any

    def _written(self, value: Any) -> str:
        if isinstance(value, str):
            return f"{self._quote}{value}{self._quote}"
        if isinstance(value, bool) or value is None:
            return {True: "true", False: "false", None: "null"}[value]
        if isinstance(value, list):
            return "[" + ",".join(map(self._written, value)) + "]"
        if isinstance(value, dict):
            members = (f"{key}:{self._written(inner)}" for key, inner in value.items())
            return "{" + ",".join(members) + "}"
        return str(value)
