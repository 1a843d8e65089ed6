"""JSON Schema to GBNF: what can be enforced of it, and what cannot.

Every text of the grammar is valid against what is enforced of the schema; not every valid text is
in the grammar (members come in the order of `properties`, for example). Whatever is not held to is
an `Issue`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from pyserve.openai.structured import scalars
from pyserve.openai.structured.arrays import array_body
from pyserve.openai.structured.automaton import steps_bounded
from pyserve.openai.structured.conjunction import (
    Document,
    Flattening,
    Impossible,
    Part,
    Path,
)
from pyserve.openai.structured.dialects import plain_schema
from pyserve.openai.structured.disjoint import MAX_COMPARED, are_disjoint
from pyserve.openai.structured.json_text import BOOLEAN, NULL, JsonRules, constant
from pyserve.openai.structured.keywords import (
    KNOWN,
    TYPES,
    has_type,
    is_annotation,
    types_of_keywords,
)
from pyserve.openai.structured.objects import object_body
from pyserve.openai.structured.rules import any_of
from pyserve.openai.structured.validation import Checker

MAX_WORK = 50_000  # schemas that hold at once, counted for each combination
MAX_AUTOMATON_STEPS = 150_000  # of all patterns and numbers: a second or two
MAX_NESTED = 24  # of visits; what is deeper is written afterwards
MAX_INLINE_CHARS = 60


class Issue(NamedTuple):
    """A place in a schema that is not enforced. is_malformed: it is no JSON Schema there."""

    path: Path
    keyword: str
    message: str
    is_malformed: bool = False


class _Open:
    """A conjunction that is being written. depth: of the containers of the answer around it."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.name: str | None = None


class SchemaGrammar:
    """The grammar of one schema; it does not enforce what `issues` name.

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
        schema = plain_schema(schema)
        self._document = Document(schema)
        self._checker = Checker(schema)
        self._known: dict[frozenset[object], str | Impossible] = {}
        self._open: dict[frozenset[object], _Open] = {}
        self._later: list[tuple[str, tuple[Part, ...], frozenset[object]]] = []
        self._depth = 0  # in objects and arrays of the answer
        self._n_nested = 0
        self._n_work = 0
        root = self.rules.reserve_root() if rules is None else None
        self.expression = self.visit_whole((Part(schema, ()),))
        if root is not None:
            self.rules.define(root, self.expression)

    def text(self) -> str:
        return self.rules.text()

    @property
    def malformed_issues(self) -> list[Issue]:
        """The issues that no answer can be valid with."""
        return [issue for issue in self.issues if issue.is_malformed]

    def report(self, path: Path, keyword: str, message: str, *, is_malformed: bool = False) -> None:
        """Notes what is not enforced, once."""
        if (path, keyword) not in [(issue.path, issue.keyword) for issue in self.issues]:
            self.issues.append(Issue(path, keyword, message, is_malformed))

    def malformed(self, path: Path, keyword: str, message: str) -> None:
        """Notes what is no JSON Schema, or allows nothing."""
        self.report(path, keyword, message, is_malformed=True)

    def report_unless_annotation(self, path: Path, keyword: str) -> None:
        if not is_annotation(keyword):
            self.report(path, keyword, "cannot be enforced")

    def visit_whole(self, parts: Sequence[Part]) -> str:
        """The expression for `parts`; never Impossible."""
        with steps_bounded(MAX_AUTOMATON_STEPS):
            return self._whole(parts)

    def _whole(self, parts: Sequence[Part]) -> str:
        """The same, with all that was put off."""
        expression = self._possible(parts)
        while self._later:
            name, later, key = self._later.pop()
            self._depth = 1
            self._open[key] = _Open(self._depth)
            try:
                self.rules.define(name, self._possible(later, is_later=True))
            finally:
                del self._open[key]
        self._depth = 0
        return expression

    def _possible(self, parts: Sequence[Part], *, is_later: bool = False) -> str:
        try:
            return self._expression(parts) if is_later else self._conjunction(parts)
        except Impossible as error:
            self.malformed(error.path, error.keyword, f"{error.message}: no value is valid")
            return self.rules.value()

    def visit_inside(self, schema: Any, path: Path) -> str:
        """The expression for a schema of the document, of a value inside an object or array."""
        return self.visit_whole((Part(schema, path),))

    def inside(self, parts: Sequence[Part]) -> str:
        """The same for schemas that hold at once. Raises Impossible."""
        self._depth += 1
        try:
            return self._conjunction(parts)
        finally:
            self._depth -= 1

    def flat(self, parts: Iterable[Part]) -> tuple[Part, ...]:
        """`parts` with what $ref and allOf in them lead to. Raises Impossible."""
        found = Flattening(self._document, self.malformed).flat(parts)
        return tuple(
            part
            for part in found
            if any(not is_annotation(name) for name in part.schema.keys() - part.done)
        )

    def _conjunction(self, parts: Sequence[Part]) -> str:
        flat = self.flat(parts)
        if not flat:
            return self.rules.value()
        key = frozenset(part.key for part in flat)
        known = self._known.get(key)
        if isinstance(known, Impossible):
            raise known
        if known is not None:
            return known
        if key in self._open:
            return self._again(flat, self._open[key])
        self._n_work += len(flat)
        if self._n_work > MAX_WORK:
            self.report(flat[0].path, "", f"is one of more than {MAX_WORK} combined schemas")
            return self.rules.value()
        if self._n_nested >= MAX_NESTED and self._depth:
            name = self._known[key] = self.rules.reserve()
            self._later.append((name, flat, key))
            return name
        return self._written(flat, key)

    def _written(self, flat: tuple[Part, ...], key: frozenset[object]) -> str:
        opened = self._open[key] = _Open(self._depth)
        self._n_nested += 1
        try:
            expression = self._expression(flat)
        except Impossible as error:
            if opened.name is None:
                self._known[key] = error
                raise
            self.malformed(error.path, error.keyword, f"{error.message}: no value is valid")
            expression = self.rules.value()
        finally:
            self._n_nested -= 1
            del self._open[key]
        if opened.name is not None:
            self.rules.define(opened.name, expression)
            expression = opened.name
        elif len(expression) > MAX_INLINE_CHARS:
            expression = self.rules.add(expression)
        self._known[key] = expression
        return expression

    def _again(self, parts: Sequence[Part], opened: _Open) -> str:
        """A reference to what is being written."""
        if opened.depth == self._depth:
            self.malformed(parts[0].path, "$ref", "leads back to itself")
            return '""'
        opened.name = opened.name or self.rules.reserve()
        return opened.name

    def _expression(self, parts: Sequence[Part]) -> str:
        for part in parts:
            if part.has("enum") or part.has("const"):
                return any_of(constant(value) for value in self._constants(part, parts))
        for part in parts:
            for keyword in ("anyOf", "oneOf"):
                if part.has(keyword):
                    return self._alternatives(part, keyword, parts)
        return self._of_types(parts)

    def _constants(self, given: Part, parts: Sequence[Part]) -> list[Any]:
        """The values of `given` that all parts allow. Raises Impossible when there is none."""
        for part in parts:
            if part.has("enum") and not isinstance(part.schema["enum"], list):
                self.malformed(part.path, "enum", "must be a list")
        values = [given.schema["const"]] if given.has("const") else given.schema["enum"]
        values = values if isinstance(values, list) else []
        for part in parts:
            left = part.schema.keys() - part.done
            if part is given and left <= {"enum", "const", "type"}:
                types = part.get("type")
                names = types if isinstance(types, list) else [types]
                if types is not None:
                    values = [v for v in values if any(has_type(v, name) for name in names)]
                if not given.has("const") or "enum" not in left:
                    continue
            values = [value for value in values if self._checker.allows(value, part.schema)]
        if not values:
            keyword = "const" if given.has("const") else "enum"
            raise Impossible(given.path, keyword, "has no value that the schema allows")
        return list({constant(value): value for value in values}.values())

    def finite_values(self, parts: Sequence[Part]) -> list[Any] | None:
        """All values that `parts` allow, if they are listed. Raises Impossible."""
        flat = self.flat(parts)
        for part in flat:
            if part.has("enum") or part.has("const"):
                return self._constants(part, flat)
        if [part.get("type") for part in flat] == ["boolean"]:
            return [True, False]
        return None

    def _alternatives(self, given: Part, keyword: str, parts: Sequence[Part]) -> str:
        schemas = given.schema[keyword]
        others = [part.without(keyword) if part is given else part for part in parts]
        if not isinstance(schemas, list) or not schemas:
            self.malformed(given.path, keyword, "must be a list of schemas")
            return self._conjunction(others)
        found: dict[str, None] = {}
        impossible = None
        for i, schema in enumerate(schemas):
            one = Part(schema, (*given.path, keyword, str(i)))
            try:
                found[self._conjunction((*others, one))] = None
            except Impossible as error:
                impossible = error
        if not found and impossible is not None:
            raise impossible
        is_one = keyword == "oneOf" and len(schemas) > 1
        if is_one and not are_disjoint(schemas, self._document.resolve):
            message = (
                "is enforced as anyOf, unless constants tell the schemas apart, or types of at"
                f" most {MAX_COMPARED}"
            )
            self.report(given.path, keyword, message)
        return any_of(found)

    def _of_types(self, parts: Sequence[Part]) -> str:
        names = self._types(parts)
        for part in parts:
            for keyword in part.schema:
                if keyword not in part.done and keyword not in KNOWN:
                    self.report_unless_annotation(part.path, keyword)
        if names is None:
            return self.rules.value()
        found: dict[str, None] = {}
        impossible = None
        for name in names:
            try:
                found[self._of_type(name, parts)] = None
            except Impossible as error:
                impossible = error
        if not found:
            raise impossible or Impossible(parts[0].path, "type", "is none that is allowed")
        return any_of(found)

    def _types(self, parts: Sequence[Part]) -> Sequence[str] | None:
        """The types that all parts allow; None: nothing is said about them."""
        keywords = [keyword for part in parts for keyword in part.schema.keys() - part.done]
        allowed: Sequence[str] | None = None
        for part in parts:
            names = part.get("type")
            if names is None:
                continue
            names = names if isinstance(names, list) else [names]
            if not names or not all(isinstance(n, str) and n in TYPES for n in names):
                self.malformed(part.path, "type", f"must be of {', '.join(TYPES)}")
                continue
            allowed = names if allowed is None else _common_types(allowed, names)
        if allowed is None:
            return types_of_keywords(keywords)
        return [name for name in allowed if not (name == "integer" and "number" in allowed)]

    def _of_type(self, name: str, parts: Sequence[Part]) -> str:
        if name == "object":
            return object_body(self, parts)
        if name == "array":
            return array_body(self, parts)
        if name == "string":
            return scalars.string(self, parts)
        if name in ("integer", "number"):
            return scalars.number(self, name, parts)
        return BOOLEAN if name == "boolean" else NULL


def _common_types(names: Iterable[str], others: Iterable[str]) -> list[str]:
    """The types in both lists; every integer is a number."""
    common = []
    others = set(others)
    for name in names:
        if name in others or (name == "integer" and "number" in others):
            common.append(name)
        elif name == "number" and "integer" in others:
            common.append("integer")
    return common
