"""JSON Schema to GBNF, complete or not at all.

Every text of the grammar is valid against the schema; not every valid text is in the grammar
(members come in the order of `properties`, for example). Whatever cannot be held to this is
reported as an `Issue`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from pyserve.openai.structured import scalars
from pyserve.openai.structured.containers import array_body, object_body
from pyserve.openai.structured.disjoint import MAX_COMPARED, are_disjoint
from pyserve.openai.structured.json_text import BOOLEAN, NULL, JsonRules, constant
from pyserve.openai.structured.keywords import (
    ANNOTATIONS,
    BY_TYPE,
    TYPES,
    has_type,
    type_of_keywords,
)
from pyserve.openai.structured.rules import any_of

MAX_DEPTH = 32
Path = tuple[str, ...]


class Issue(NamedTuple):
    """A place in a schema that cannot be enforced."""

    path: Path
    keyword: str
    message: str


class SchemaGrammar:
    """The grammar of one schema. With `issues` it is incomplete and must not be used.

    is_strict: as OpenAI's strict mode, objects must name all their members as required and allow
    no others.
    rules: those of the larger grammar in which this one is the part `expression`.
    """

    def __init__(
        self, schema: Any, *, is_strict: bool = False, rules: JsonRules | None = None
    ) -> None:
        self.rules = JsonRules() if rules is None else rules
        self.issues: list[Issue] = []
        self.is_strict = is_strict
        self._root = schema
        self._references: dict[str, str] = {}
        self._open: dict[str, int] = {}  # references being followed, and how deep they began
        self._depth = 0  # in objects and arrays of the answer
        root = self.rules.reserve_root() if rules is None else None
        self.expression = self.visit(schema, ())
        if root is not None:
            self.rules.define(root, self.expression)

    def text(self) -> str:
        return self.rules.text()

    def report(self, path: Path, keyword: str, message: str) -> str:
        """Notes an issue; returns a placeholder for the part without an expression."""
        self.issues.append(Issue(path, keyword, message))
        return '""'

    def visit_inside(self, schema: Any, path: Path) -> str:
        """`visit`, for values inside an object or array."""
        self._depth += 1
        expression = self.visit(schema, path)
        self._depth -= 1
        return expression

    def visit(self, schema: Any, path: Path) -> str:
        """The expression for the values that `schema` allows."""
        if len(path) > 2 * MAX_DEPTH:
            return self.report(path, "", f"is nested more than {MAX_DEPTH} deep")
        if schema is True:
            return self.rules.value()
        if not isinstance(schema, dict):
            return self.report(path, "", "must be an object that allows something")
        keywords = {name: value for name, value in schema.items() if name not in ANNOTATIONS}
        for keyword, visit in self._combined().items():
            if keyword in keywords:
                return visit(keywords, path)
        return self._visit_types(keywords, path)

    def _combined(self) -> dict[str, Callable[[dict[str, Any], Path], str]]:
        return {
            "$ref": self._visit_reference,
            "const": self._visit_constants,
            "enum": self._visit_constants,
            "anyOf": self._visit_alternatives,
            "oneOf": self._visit_alternatives,
            "allOf": self._visit_all_of,
        }

    def _visit_types(self, keywords: dict[str, Any], path: Path) -> str:
        types = keywords.pop("type", None)
        if types is None:
            if not keywords:
                return self.rules.value()
            types = type_of_keywords(keywords)
            if types is None:
                return self.report(path, sorted(keywords)[0], "is not supported")
        names = types if isinstance(types, list) else [types]
        if not names or any(name not in TYPES for name in names if isinstance(name, str)):
            return self.report(path, "type", f"must be of {', '.join(TYPES)}")
        if not all(isinstance(name, str) for name in names):
            return self.report(path, "type", "must be a string or a list of strings")
        for keyword in keywords:
            if not any(keyword in BY_TYPE[name] for name in names):
                self.report(path, keyword, "is not supported here")
        return any_of(self._visit_type(name, keywords, path) for name in names)

    def _visit_type(self, name: str, keywords: dict[str, Any], path: Path) -> str:
        own = {keyword: keywords[keyword] for keyword in keywords if keyword in BY_TYPE[name]}
        if name == "object":
            return object_body(self, own, path)
        if name == "array":
            return array_body(self, own, path)
        if name == "string":
            return scalars.string(self, own, path)
        if name in ("integer", "number"):
            return scalars.number(self, name, own, path)
        return BOOLEAN if name == "boolean" else NULL

    def _visit_constants(self, keywords: dict[str, Any], path: Path) -> str:
        values = keywords.pop("enum", None) if "enum" in keywords else [keywords["const"]]
        if not isinstance(values, list):
            return self.report(path, "enum", "must be a list")
        if "const" in keywords:
            value = keywords.pop("const")
            if value not in values:
                return self.report(path, "const", "is not in enum")
            values = [value]
        types = keywords.pop("type", None)
        for keyword in keywords:
            self.report(path, keyword, "is not supported beside const and enum")
        if types is not None:
            names = types if isinstance(types, list) else [types]
            values = [value for value in values if any(has_type(value, name) for name in names)]
        if not values:
            return self.report(path, "enum", "has no value of this type")
        return any_of(constant(value) for value in values)

    def _visit_alternatives(self, keywords: dict[str, Any], path: Path) -> str:
        keyword = "anyOf" if "anyOf" in keywords else "oneOf"
        schemas = keywords.pop(keyword)
        for other in keywords:
            self.report(path, other, f"is not supported beside {keyword}")
        if not isinstance(schemas, list) or not schemas:
            return self.report(path, keyword, "must be a list of schemas")
        if keyword == "oneOf" and not are_disjoint(schemas, self.resolve):
            message = (
                "is supported only where constants tell the schemas apart, or types of at most"
                f" {MAX_COMPARED}"
            )
            return self.report(path, keyword, message)
        return any_of(
            self.visit(schema, (*path, keyword, str(i))) for i, schema in enumerate(schemas)
        )

    def _visit_all_of(self, keywords: dict[str, Any], path: Path) -> str:
        schemas = keywords.pop("allOf")
        if not isinstance(schemas, list) or len(schemas) != 1:
            return self.report(path, "allOf", "is supported with one schema only")
        for other in keywords:
            self.report(path, other, "is not supported beside allOf")
        return self.visit(schemas[0], (*path, "allOf", "0"))

    def _visit_reference(self, keywords: dict[str, Any], path: Path) -> str:
        reference = keywords.pop("$ref")
        for other in keywords:
            self.report(path, other, "is not supported beside $ref")
        target = self.resolve(reference)
        if target is None:
            return self.report(path, "$ref", "must lead to a place in this schema")
        if self._open.get(reference) == self._depth:
            return self.report(path, "$ref", "leads back to itself")
        if reference not in self._references:
            name = self._references[reference] = self.rules.reserve()
            self._open[reference] = self._depth
            self.rules.define(name, self.visit(target, tuple(_steps(reference))))
            del self._open[reference]
        return self._references[reference]

    def resolve(self, reference: object) -> Any:
        """The schema that a `#/...` reference points to; None: there is none."""
        if not isinstance(reference, str) or not (reference + "/").startswith("#/"):
            return None
        place = self._root
        for step in _steps(reference):
            if isinstance(place, list) and step in map(str, range(len(place))):
                place = place[int(step)]
            elif isinstance(place, dict) and step in place:
                place = place[step]
            else:
                return None
        return place if isinstance(place, dict | bool) else None


def _steps(reference: str) -> list[str]:
    steps = reference.split("/")[1:]
    return [step.replace("~1", "/").replace("~0", "~") for step in steps]
