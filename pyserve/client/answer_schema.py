"""Schemas that answers obey: dictionaries, and classes such as pydantic's models."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from pyserve.errors import InvalidRequestError


@runtime_checkable
class ModelClass(Protocol):
    """A class that has a JSON Schema and reads JSON, as those of pydantic."""

    def model_json_schema(self) -> dict[str, Any]: ...

    def model_validate_json(self, json_data: str) -> Any: ...


AnswerSchema = ModelClass | Mapping[str, Any]


def response_format(schema: AnswerSchema) -> dict[str, Any]:
    """The `response_format` that holds answers to `schema`. Raises InvalidRequestError."""
    if isinstance(schema, Mapping):
        name, text = str(schema.get("title", "answer")), dict(schema)
    elif isinstance(schema, ModelClass):
        name, text = getattr(schema, "__name__", "answer"), schema.model_json_schema()
    else:
        raise InvalidRequestError(
            f"schema is a {type(schema).__name__}: give a JSON Schema as a dictionary, or a class "
            "with model_json_schema and model_validate_json, such as a pydantic model",
            param="schema",
        )
    plain = "".join(each if each.isalnum() or each in "_-" else "_" for each in name)[:64]
    return {"type": "json_schema", "json_schema": {"name": plain or "answer", "schema": text}}


def reader(schema: AnswerSchema) -> Callable[[str], Any]:
    """Makes of a finished answer what `schema` describes. Raises what the class raises."""
    return json.loads if isinstance(schema, Mapping) else schema.model_validate_json
