"""Tool calls whose arguments stand between tags instead of in a JSON object.

<parameter=city>
Oslo
</parameter>
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

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

PYTHON_WORDS: dict[str, dict[bool | None, str]] = {
    "boolean": {True: "True", False: "False"},
    "null": {None: "None"},
}
_ANY_CONTAINER = ANNOTATIONS | {"type"}
_NAME = "([a-zA-Z0-9_] [a-zA-Z0-9_.-]{0,63})"


MAX_DEPTH = 8  # of values whose kinds are told apart
ValuePath = tuple[str, ...]
ValueKind = Literal["text", "optional", "object", "array"]


def value_kinds(function: Function) -> dict[ValuePath, ValueKind]:
    """What values in the arguments are, by function, parameter and members.

    "optional": a text or null.
    """
    return dict(_kinds((function.name,), {**(function.parameters or {}), "type": "object"}))


def _kinds(path: ValuePath, schema: Any) -> Iterator[tuple[ValuePath, ValueKind]]:
    if not isinstance(schema, dict) or len(path) > MAX_DEPTH:
        return
    if _is_text(schema):
        yield path, "text"
    elif _is_optional_text(schema):
        yield path, "optional"
    elif (kind := schema.get("type")) in ("object", "array"):
        yield path, kind
        properties = schema.get("properties")
        inside = properties if kind == "object" else {ITEM: schema.get("items")}
        for name, part in (inside if isinstance(inside, dict) else {}).items():
            yield from _kinds((*path, name), part)


def _is_text(schema: Any) -> bool:
    if not isinstance(schema, dict):
        return False
    values = _constants(schema)
    if values is not None:
        return all(isinstance(value, str) for value in values)
    return bool(schema.get("type") == "string")


def _is_optional_text(schema: dict[str, Any]) -> bool:
    """Whether its values are texts and null, so that a text may stand for itself."""
    kind = schema.get("type")
    if isinstance(kind, list):
        return set(kind) == {"string", "null"} and _constants(schema) is None
    parts = schema.get("anyOf", schema.get("oneOf"))
    if not isinstance(parts, list) or kind is not None:
        return False
    kinds = [isinstance(part, dict) and part.get("type") for part in parts]
    return set(kinds) == {"string", "null"} and all(_constants(part) is None for part in parts)


def tagged_arguments(
    function: Function, layout: CallFormat, rules: JsonRules, *, is_loose: bool
) -> str:
    """The expression for the arguments; they come in the order of `properties`.

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
            return '""', []
        return _any_members(layout, rules), []
    grammar = SchemaGrammar(schema, rules=rules)
    grammar.issues.clear()
    return _Writer(grammar, rules, layout).members(schema, ()), grammar.issues


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


def _python_words(schema: Any) -> list[str]:
    """The values that Python writes otherwise than JSON: some templates do, as do their models."""
    words = PYTHON_WORDS.get(_type_of(schema), {})
    values = _constants(schema)
    return [
        literal(word)
        for value, word in words.items()
        if values is None or any(value is each for each in values)
    ]


def _constants(schema: Any) -> list[Any] | None:
    """The only values of a schema, if it lists them."""
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    return values if isinstance(values, list) else None


class _Writer:
    """Writes members and their values, each up to the end of its tag."""

    def __init__(self, grammar: SchemaGrammar, rules: JsonRules, layout: CallFormat) -> None:
        self._grammar = grammar
        self._rules = rules
        self._layout = layout

    def members(self, schema: dict[str, Any], path: ValuePath) -> str:
        """The members of an object in the order of its properties."""
        required = schema.get("required", [])
        members = []
        for name, part in schema["properties"].items():
            member = f"{self._rules.space} {self._member(name, part, (*path, 'properties', name))}"
            members.append(f"({member})" if name in required else f"({member})?")
        return " ".join(members)

    def _member(self, name: str, schema: Any, path: ValuePath) -> str:
        layout = self._layout
        if layout.types and isinstance(schema, dict) and _is_optional_text(schema):
            kinds = ({"type": "string"}, {"type": "null"})
            return any_of(self._member(name, kind, path) for kind in kinds)
        key_end = layout.key_end.replace(HOLE, layout.types.get(_type_of(schema), HOLE))
        key = f"{literal(layout.key_begin + name)} {loose(self._rules, key_end)}"
        if layout.kind != "elements":
            return f"{key} {self._value(schema, path, layout.value_end)}"
        end = f"{layout.value_end}{name}{layout.key_end}"
        return f"{key} {self._element(schema, path, end)}"

    def _element(self, schema: Any, path: ValuePath, end: str) -> str:
        """A value whose objects and lists are elements, too."""
        kind = _type_of(schema)
        if not isinstance(schema, dict) or len(path) > 2 * MAX_DEPTH or "type" not in schema:
            return self._value(schema, path, end)
        if kind == "object" and isinstance(schema.get("properties"), dict):
            return f"{self.members(schema, path)} {self._rules.space} {literal(end)}"
        if kind == "array" and "items" in schema:
            item = self._rules.add(
                f"{self._rules.space} {self._member(ITEM, schema['items'], (*path, 'items'))}"
            )
            low, high = counts(self._grammar, [Part(schema, path)], "minItems", "maxItems")
            return f"{repeated(f'({item})', low, high)} {self._rules.space} {literal(end)}"
        if kind in ("object", "array") and schema.keys() <= _ANY_CONTAINER:
            begin = literal(self._layout.key_begin)
            rest = text_until(self._rules, end, '""', can_end=False)[0]
            json_value = self._value(schema, path, end)
            return any_of([literal(end), f"{begin} {rest}", json_value])
        return self._value(schema, path, end)

    def _value(self, schema: Any, path: ValuePath, value_end: str) -> str:
        """A text as it is, or JSON by its schema."""
        grammar, rules, end = self._grammar, self._rules, literal(value_end)
        if isinstance(schema, dict) and _is_optional_text(schema):
            return text_until(rules, value_end, '""', can_end=False)[0]
        if not _is_text(schema):
            value = any_of([grammar.visit_inside(schema, path), *_python_words(schema)])
            return f"{rules.space} {value} {rules.space} {end}"
        values = _constants(schema)
        line_break = '"\\n"?' if self._layout.has_line_breaks else '""'
        if isinstance(schema.get(TEXT_GRAMMAR), TextGrammar):
            text = rules.add(schema[TEXT_GRAMMAR].expression(rules, raw_char))
            return f"{line_break} {text} {line_break} {end}"
        if values is not None:
            texts = any_of(literal(value) for value in values)
            return f"{line_break} {texts} {line_break} {end}"
        held = raw_string(grammar, Part(schema, path), value_end)
        if held is not None:
            return f"{line_break} {held} {line_break} {end}"
        return text_until(rules, value_end, '""', can_end=False)[0]
