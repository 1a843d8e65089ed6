"""Tool calls whose arguments stand between tags instead of in a JSON object.

<parameter=city>
Oslo
</parameter>
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from pyserve.openai.structured.conjunction import Part
from pyserve.openai.structured.json_text import JsonRules
from pyserve.openai.structured.keywords import ANNOTATIONS, TEXT_GRAMMAR
from pyserve.openai.structured.regex import raw_char
from pyserve.openai.structured.rules import any_of, literal, repeated
from pyserve.openai.structured.scalars import counts, raw_string
from pyserve.openai.structured.schema import Issue, SchemaGrammar
from pyserve.openai.structured.text_grammar import TextGrammar
from pyserve.openai.tools.arguments import Function, enforceable, refuse_if_strict
from pyserve.openai.tools.formats import HOLE, ITEM, CallFormat
from pyserve.openai.tools.free_text import loose, text_until
from pyserve.openai.tools.value_types import OPTIONAL_TEXT, TEXT, constants_of, types_of

PYTHON_WORDS: dict[str, dict[bool | None, str]] = {
    "boolean": {True: "True", False: "False"},
    "null": {None: "None"},
}
_NULLS = (literal("null"), literal("None"))
_ANY_CONTAINER = ANNOTATIONS | {"type"}
_NAME = "([a-zA-Z0-9_] [a-zA-Z0-9_.-]{0,63})"
MAX_DEPTH = 8  # of values that are elements


def tagged_arguments(
    function: Function, layout: CallFormat, rules: JsonRules, *, is_loose: bool
) -> str:
    """The expression for the arguments and their end; they come in the order of `properties`.

    String values stand unquoted between the tags; all other values are JSON by their schemas, and
    in elements objects and lists are elements, too. Raises InvalidSchemaError for a strict
    function whose schema cannot be enforced there.
    """
    if is_loose:
        return _any_members(layout, rules)
    expression, issues = _written(function, layout, rules)
    refuse_if_strict(function, issues)
    return expression


def tagged_issues(function: Function, layout: CallFormat) -> list[Issue]:
    """What the arguments are not held to. REQUIRES: the function is not strict."""
    return _written(function, layout, JsonRules())[1]


def _written(function: Function, layout: CallFormat, rules: JsonRules) -> tuple[str, list[Issue]]:
    schema = enforceable(function)
    if not schema.get("properties"):
        if schema.get("additionalProperties") is False:
            return f"{rules.space} {_end(layout, rules)}", []
        return _any_members(layout, rules), []
    grammar = SchemaGrammar(schema, rules=rules)
    grammar.issues.clear()
    return _Writer(grammar, rules, layout).arguments(schema), grammar.issues


def _end(layout: CallFormat, rules: JsonRules) -> str:
    """What ends arguments; of several tags those after the first may be left out."""
    end = layout.arguments_end.lstrip()
    first, more, rest = end.partition(">")
    if not rest.lstrip().startswith("</"):
        return loose(rules, end)
    return f"{loose(rules, first + more)} ({loose(rules, rest)})?"


def _any_members(layout: CallFormat, rules: JsonRules) -> str:
    if layout.kind == "elements":  # ends with the name that it begins with: no grammar knows that
        text = text_until(rules, layout.arguments_end, '""', can_end=False)[0]
        return f"{rules.space} {text}"
    value = text_until(rules, layout.value_end, '""', can_end=False)[0]
    kinds = {layout.key_end.replace(HOLE, kind) for kind in layout.types.values()}
    key_end = any_of(loose(rules, kind) for kind in sorted(kinds or {layout.key_end}))
    key = f"{loose(rules, layout.key_begin)} {_NAME} {key_end}"
    return f"({rules.space} {key} {value})* {rules.space} {_end(layout, rules)}"


def _type_of(schema: Any) -> str:
    """The JSON type of the values of `schema`, as far as it says one."""
    if types_of(schema) == TEXT:
        return "string"
    kind = schema.get("type") if isinstance(schema, dict) else None
    return kind if isinstance(kind, str) else "object"


def _python_words(schema: Any) -> list[str]:
    """The values that Python writes otherwise than JSON: some templates do, as do their models."""
    words = PYTHON_WORDS.get(_type_of(schema), {})
    values = constants_of(schema)
    return [
        literal(word)
        for value, word in words.items()
        if values is None or any(value is each for each in values)
    ]


def _texts(
    schema: dict[str, Any], path: tuple[str, ...]
) -> Iterator[tuple[dict[str, Any], tuple[str, ...]]]:
    """The schemas of texts, each with its path, of which a value has one, if it is no null."""
    values = constants_of(schema)
    keyword = "anyOf" if "anyOf" in schema else "oneOf"
    if values is not None:
        texts = [value for value in values if value is not None]
        if texts:
            yield {"enum": texts}, path
    elif "type" in schema:
        if schema["type"] != "null":
            yield {**schema, "type": "string"}, path
    else:
        for i, part in enumerate(schema[keyword]):
            yield from _texts(part, (*path, keyword, str(i)))


class _ValueEnd(msgspec.Struct, frozen=True):
    """What ends a value: a tag, the expression after it, and one that ends free text as well."""

    tag: str
    after: str = '""'
    other: str = ""

    @property
    def expression(self) -> str:
        return f"{literal(self.tag)} {self.after}"


class _Writer:
    """Writes members and their values, each up to the end of its tag."""

    def __init__(self, grammar: SchemaGrammar, rules: JsonRules, layout: CallFormat) -> None:
        self._grammar = grammar
        self._rules = rules
        self._layout = layout

    def arguments(self, schema: dict[str, Any]) -> str:
        """All members and their end, which may stand in the place of the end of a text, too."""
        layout, rules = self._layout, self._rules
        other = rules.add(_end(layout, rules))
        rest = f"{rules.space} {other}"
        if layout.kind == "elements":
            return f"{self.members(schema, ())} {rest}"
        for name, part in reversed(schema["properties"].items()):
            ends = _ValueEnd(layout.value_end, rest, other)
            member = f"{rules.space} {self._member(name, part, ('properties', name), ends)}"
            if name in schema.get("required", []):
                other = ""
                rest = rules.add(member)
            else:
                rest = rules.add(any_of([member, rest]))
        return rest

    def members(self, schema: dict[str, Any], path: tuple[str, ...]) -> str:
        """The members of an element in the order of its properties."""
        required = schema.get("required", [])
        members = []
        for name, part in schema["properties"].items():
            end = self._element_end(name)
            member = self._member(name, part, (*path, "properties", name), end)
            member = f"{self._rules.space} {member}"
            members.append(f"({member})" if name in required else f"({member})?")
        return " ".join(members)

    def _element_end(self, name: str) -> _ValueEnd:
        return _ValueEnd(f"{self._layout.value_end}{name}{self._layout.key_end}")

    def _member(self, name: str, schema: Any, path: tuple[str, ...], end: _ValueEnd) -> str:
        layout = self._layout
        if layout.types and types_of(schema) == OPTIONAL_TEXT:
            kinds = [*_texts(schema, path), ({"type": "null"}, path)]
            return any_of(self._member(name, kind, inside, end) for kind, inside in kinds)
        key_end = layout.key_end.replace(HOLE, layout.types.get(_type_of(schema), HOLE))
        key = f"{literal(layout.key_begin + name)} {loose(self._rules, key_end)}"
        value = self._element if layout.kind == "elements" else self._value
        return f"{key} {value(schema, path, end)}"

    def _element(self, schema: Any, path: tuple[str, ...], end: _ValueEnd) -> str:
        """A value whose objects and lists are elements, too."""
        kind = _type_of(schema)
        if not isinstance(schema, dict) or len(path) > 2 * MAX_DEPTH or "type" not in schema:
            return self._value(schema, path, end)
        if kind == "object" and isinstance(schema.get("properties"), dict):
            return f"{self.members(schema, path)} {self._rules.space} {end.expression}"
        if kind == "array" and "items" in schema:
            one = self._member(ITEM, schema["items"], (*path, "items"), self._element_end(ITEM))
            item = self._rules.add(f"{self._rules.space} {one}")
            low, high = counts(self._grammar, [Part(schema, path)], "minItems", "maxItems")
            return f"{repeated(f'({item})', low, high)} {self._rules.space} {end.expression}"
        if kind in ("object", "array") and schema.keys() <= _ANY_CONTAINER:
            begin = literal(self._layout.key_begin)
            rest = text_until(self._rules, end.tag, end.after, can_end=False)[0]
            json_value = self._value(schema, path, end)
            return any_of([end.expression, f"{begin} {rest}", json_value])
        return self._value(schema, path, end)

    def _value(self, schema: Any, path: tuple[str, ...], end: _ValueEnd) -> str:
        """A text as it is, or JSON by its schema."""
        space, types = self._rules.space, types_of(schema)
        if types and types <= OPTIONAL_TEXT:
            texts = [self._text(one, where, end) for one, where in _texts(schema, path)]
            null = f"{space} {any_of(_NULLS)} {space} {end.expression}"
            return any_of([*texts, null] if "null" in types else texts)
        value = any_of([self._grammar.visit_inside(schema, path), *_python_words(schema)])
        return f"{space} {value} {space} {end.expression}"

    def _text(self, schema: dict[str, Any], path: tuple[str, ...], end: _ValueEnd) -> str:
        rules, values = self._rules, constants_of(schema)
        if isinstance(schema.get(TEXT_GRAMMAR), TextGrammar):
            text = rules.add(schema[TEXT_GRAMMAR].expression(rules, raw_char))
        elif values is not None:
            text = any_of(literal(value) for value in values)
        else:
            held = raw_string(self._grammar, Part(schema, path), end.tag)
            if held is None:
                return text_until(rules, end.tag, end.after, can_end=False, other_end=end.other)[0]
            text = held
        line_break = '"\\n"?' if self._layout.has_line_breaks else '""'
        return f"{line_break} {text} {line_break} {end.expression}"
