"""Schemas that hold at once: what a schema becomes when $ref and allOf are followed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from urllib.parse import unquote

Path = tuple[str, ...]
Report = Callable[[Path, str, str], None]

MAX_FOLLOWED = 64  # $ref and allOf within each other


class Part(NamedTuple):
    """A schema of the document and where it stands. done: keywords that were dealt with."""

    schema: Any
    path: Path
    done: frozenset[str] = frozenset()

    @property
    def key(self) -> tuple[int, frozenset[str]]:
        return id(self.schema), self.done

    def get(self, keyword: str) -> Any:
        """The value of a keyword that is left; None: there is none."""
        return None if keyword in self.done else self.schema.get(keyword)

    def has(self, keyword: str) -> bool:
        return keyword not in self.done and keyword in self.schema

    def without(self, *keywords: str) -> Part:
        return self._replace(done=self.done | set(keywords))


class Document:
    """The whole of a JSON Schema: what references in it lead to."""

    def __init__(self, root: Any) -> None:
        self._root = root

    def resolve(self, reference: object) -> Any:
        """The schema that a reference points to (RFC 6901, 6); None: there is none."""
        pointer = self._pointer(reference)
        if pointer is None:
            return None
        place = self._root
        for step in steps(pointer):
            if isinstance(place, list) and step in map(str, range(len(place))):
                place = place[int(step)]
            elif isinstance(place, dict) and step in place:
                place = place[step]
            else:
                return None
        return place if isinstance(place, dict | bool) else None

    def _pointer(self, reference: object) -> str | None:
        is_one = isinstance(reference, str) and (reference + "/").startswith("#/")
        return str(reference) if is_one else None


def steps(reference: str) -> list[str]:
    """The steps of a reference `#/...`."""
    found = unquote(reference).split("/")[1:]
    return [step.replace("~1", "/").replace("~0", "~") for step in found]


class Impossible(Exception):
    """No value is valid: for the keyword at this path, most likely."""

    def __init__(self, path: Path, keyword: str, message: str) -> None:
        super().__init__(message)
        self.path, self.keyword, self.message = path, keyword, message


class Flattening:
    """Follows $ref and allOf of some parts. Raises Impossible where one of them allows nothing."""

    def __init__(self, document: Document, report: Report) -> None:
        self._document = document
        self._report = report
        self._parts: dict[tuple[int, frozenset[str]], Part] = {}

    def flat(self, parts: Iterable[Part]) -> tuple[Part, ...]:
        for part in parts:
            self._add(part, frozenset())
        return tuple(self._parts.values())

    def _add(self, part: Part, above: frozenset[int]) -> None:
        schema = part.schema
        if schema is True:
            return
        if schema is False:
            raise Impossible(part.path, "", "allows nothing")
        if not isinstance(schema, dict):
            self._report(part.path, "", "must be an object or a boolean")
            return
        if len(above) > MAX_FOLLOWED:
            self._report(part.path, "", f"is nested more than {MAX_FOLLOWED} deep")
            return
        own = part.without("$ref", "allOf")
        if own.key in self._parts or part.key in self._parts:
            return
        self._parts[own.key] = own
        inside = above | {id(schema)}
        if part.has("$ref"):
            self._add_target(part, inside)
        if part.has("allOf"):
            self._add_all(part, inside)

    def _add_target(self, part: Part, above: frozenset[int]) -> None:
        reference = part.schema["$ref"]
        target = self._document.resolve(reference)
        if target is None:
            self._report(part.path, "$ref", "must lead to a place in this schema")
        elif id(target) in above:
            self._report(part.path, "$ref", "leads back to itself")
        else:
            self._add(Part(target, tuple(steps(reference))), above)

    def _add_all(self, part: Part, above: frozenset[int]) -> None:
        schemas = part.schema["allOf"]
        if not isinstance(schemas, list) or not schemas:
            self._report(part.path, "allOf", "must be a list of schemas")
            return
        for i, schema in enumerate(schemas):
            self._add(Part(schema, (*part.path, "allOf", str(i))), above)
