"""Named schemas of the OpenAPI document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from pyserve.openai.document.fields import describe
from pyserve.openai.document.operation import Operation
from pyserve.schemas.json_schema import request_schemas

REFERENCE = "#/components/schemas/"


def reference(name: str) -> dict[str, Any]:
    return {"$ref": REFERENCE + name}


def any_of(names: Sequence[str]) -> dict[str, Any]:
    """A reference to a named schema, or a choice of several."""
    references = [reference(name) for name in names]
    return references[0] if len(references) == 1 else {"anyOf": references}


class Schemas:
    """Named schemas of all requests and responses of `operations`.

    A response's type that has the name of a part of a request is called `Output...`.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
        taken = request_schemas([kind for op in operations for kind in op.requests])
        for name, schema in taken.items():
            _describe_fields(name, schema)
        types: list[Any] = [*dict.fromkeys(op.errors.body for op in operations)]
        types += [op.response for op in operations if op.response]
        types += [kind for op in operations for kind in (*op.variants, *op.lists)]
        types += [kind for op in operations for kind in op.event_types]
        _, given = msgspec.json.schema_components(types, ref_template=REFERENCE + "{name}")
        self._clashes = taken.keys() & given.keys()
        shown = {self._name(name): _as_given(self._renamed(given[name])) for name in given}
        self.by_name = dict(sorted({**taken, **shown}.items()))

    def of(self, *types: type[msgspec.Struct]) -> dict[str, Any]:
        """A reference to the schema of a response or event, or a choice of several."""
        return any_of([self._name(kind.__name__) for kind in types])

    def _name(self, name: str) -> str:
        return f"Output{name}" if name in self._clashes else name

    def _renamed(self, value: Any) -> Any:
        """The schema with references renamed to the names used here."""
        if isinstance(value, list):
            return [self._renamed(part) for part in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            return reference(self._name(value["$ref"].removeprefix(REFERENCE)))
        return {key: self._renamed(part) for key, part in value.items()}


def _describe_fields(name: str, schema: dict[str, Any]) -> None:
    for field, part in schema.get("properties", {}).items():
        sentence = describe(name, field)
        if sentence is not None:
            part["description"] = sentence


def _as_given(schema: dict[str, Any]) -> dict[str, Any]:
    """Marks fields with defaults as always present, since structs are written whole."""
    properties = schema.get("properties", {})
    always = set(schema.get("required", [])) | {
        name for name, part in properties.items() if "default" in part
    }
    return {
        **{key: value for key, value in schema.items() if key != "title"},
        "properties": {
            name: {key: value for key, value in part.items() if key != "default"}
            for name, part in properties.items()
        },
        "required": [name for name in properties if name in always],
    }
