"""GBNF for arguments that are nearly JSON: `f(city='Oslo')`, `f{city:<|"|>Oslo<|"|>}`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from pyserve.openai.structured.conjunction import Part
from pyserve.openai.structured.json_text import BOOLEAN, NULL, NUMBER, JsonRules
from pyserve.openai.structured.keywords import ANNOTATIONS
from pyserve.openai.structured.rules import any_of, char_class, literal, repeated
from pyserve.openai.structured.scalars import counts, raw_string
from pyserve.openai.structured.schema import Issue, SchemaGrammar
from pyserve.openai.tools.arguments import Function, enforceable, refuse_if_strict
from pyserve.openai.tools.formats import CallFormat
from pyserve.openai.tools.free_text import text_until
from pyserve.openai.tools.tagged import PYTHON_WORDS

MAX_DEPTH = 5  # of objects held to their schemas in quotes that are not JSON's
_NAME = "([a-zA-Z_] [a-zA-Z0-9_.-]{0,63})"
_NO_NAME = char_class(
    [(0, 0x20), (0x7F, 0x7F), *((ord(char), ord(char)) for char in ":=,(){}[]'\"<>")],
    is_negated=True,
)
_ANY_NAME = f'({_NO_NAME}{{1,64}} (" " {_NO_NAME}{{1,64}}){{0,7}})'  # outside of Python
_QUOTE, _ESCAPE = "'", "\\"
_PLAIN = char_class(
    [(0, 0x1F), (0x7F, 0x7F), *((ord(char), ord(char)) for char in (_QUOTE, _ESCAPE))],
    is_negated=True,
)
_PYTHON = {
    **{
        kind: any_of(literal(word) for word in words.values())
        for kind, words in PYTHON_WORDS.items()
    },
    "string": f"{literal(_QUOTE)} ({_PLAIN} | {literal(_ESCAPE)} [nrt'\"\\\\])* {literal(_QUOTE)}",
}
_FREE = ANNOTATIONS | {"type"}  # keywords of a text that may be any
_LISTED = {"type", "items", "minItems", "maxItems"}
_ONES = ("boolean", "null", "integer", "number")


def loose_arguments(
    function: Function, layout: CallFormat, rules: JsonRules, *, is_loose: bool
) -> str:
    """The expression for the arguments of `function` and what is around them.

    Raises InvalidSchemaError for a strict function whose schema cannot be enforced there.
    """
    given = msgspec.structs.replace(function, parameters={}) if is_loose else function
    expression, issues = _written(given, layout, rules)
    refuse_if_strict(given, issues)
    return expression


def loose_issues(function: Function, layout: CallFormat) -> list[Issue]:
    """What the arguments are not held to. REQUIRES: the function is not strict."""
    return _written(function, layout, JsonRules())[1]


def _written(function: Function, layout: CallFormat, rules: JsonRules) -> tuple[str, list[Issue]]:
    schema = enforceable(function)
    grammar = SchemaGrammar(schema, rules=rules)
    grammar.issues.clear()
    if layout.kind == "pythonic":
        members = _Values(grammar, "").members(schema, (), "=")
        return f'"(" {members} ")"', []
    members = _Values(grammar, layout.quote).members(schema, (), ":")
    return f'"{{" {members} "}}"', grammar.issues


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
            name = _ANY_NAME if self._quote else _NAME
            one = self._rules.add(f"{name} {literal(sign)} {self._value(True, path)}")
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
        if not isinstance(schema, dict) or not schema.keys() - ANNOTATIONS:
            return self._any_value()
        if "enum" in schema or "const" in schema:
            values = schema.get("enum", [schema.get("const")])
            return any_of(literal(self._written(value)) for value in values)
        alternatives = list(_alternatives(schema, path))
        if alternatives:
            return any_of(self._value(part, inside) for part, inside in alternatives)
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
            text = raw_string(self._grammar, Part(schema, path), self._quote)
            quote = literal(self._quote)
            return self._text() if text is None else self._rules.add(f"{quote} {text} {quote}")
        if len(path) > 2 * MAX_DEPTH or kind not in ("array", "object"):
            self._grammar.report(path, "", "cannot be enforced in the format of the model's calls")
            return self._any_value()
        if kind == "object":
            return f'"{{" {self.members(schema, path, ":")} "}}"'
        for keyword in schema.keys() - _LISTED - ANNOTATIONS:
            self._grammar.report(path, keyword, "cannot be enforced in the model's calls")
        item = self._rules.add(self._value(schema.get("items", True), (*path, "items")))
        low, high = counts(self._grammar, [Part(schema, path)], "minItems", "maxItems")
        return f'"[" {self._items(item, low, high)} "]"'

    def _items(self, item: str, low: int, high: int | None) -> str:
        if high == 0:
            return '""'
        more = repeated(f"{self._rules.comma} {item}", max(low - 1, 0), high and high - 1)
        return f"{item} {more}" if low else f"({item} {more})?"

    def _text(self) -> str:
        text = text_until(self._rules, self._quote, '""', can_end=False)[0]
        return self._rules.add(f"{literal(self._quote)} {text}")

    def _any_value(self) -> str:
        if self._any is None:
            self._any = self._rules.reserve()
            comma = self._rules.comma
            pair = self._rules.add(f'{_ANY_NAME} ":" {self._any}')
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


def _alternatives(
    schema: dict[str, Any], path: tuple[str, ...]
) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """The schemas, each with its path, of which a value has one; none: it is not that simple."""
    for keyword in ("anyOf", "oneOf"):
        if isinstance(schema.get(keyword), list) and schema.keys() <= ANNOTATIONS | {keyword}:
            for i, part in enumerate(schema[keyword]):
                yield part, (*path, keyword, str(i))
    if isinstance(schema.get("type"), list):
        for kind in schema["type"]:
            yield {**schema, "type": kind}, path
