"""JSON Schemas of the request bodies, for the OpenAPI document."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from pydantic.json_schema import models_json_schema

from pyserve.schemas.common import RequestModel

REFERENCE = "#/components/schemas/{model}"


def request_schemas(models: Iterable[type[RequestModel]]) -> dict[str, dict[str, Any]]:
    """The schemas of `models` and of all they contain, by name.

    `x-refused-fields` are the fields that are refused unless they have a neutral value,
    `x-ignored-fields` those known to have no effect.
    """
    pairs = [(model, "validation") for model in models]
    _, top = models_json_schema(pairs, ref_template=REFERENCE)  # type: ignore[arg-type]
    schemas: dict[str, dict[str, Any]] = {
        name: _tidied(schema) for name, schema in top["$defs"].items()
    }
    for model, _ in pairs:
        schema = schemas[model.__name__]
        properties = schema["properties"]
        schema["properties"] = {name: properties[name] for name in _own_first(model)}
        schema["x-refused-fields"] = sorted(set(model.refused()) - set(model.model_fields))
        schema["x-ignored-fields"] = sorted(set(model.foreign.named) - set(model.model_fields))
    return schemas


def _own_first(model: type[RequestModel]) -> list[str]:
    """The fields of `model`: its own, then those of each class that it is made of."""
    names = [name for cls in model.__mro__ for name in inspect.get_annotations(cls)]
    fields = model.model_fields
    return [fields[name].alias or name for name in dict.fromkeys(names) if name in fields]


def _tidied(schema: Any) -> Any:
    """Without the titles that repeat names, and without null as a default."""
    if isinstance(schema, list):
        return [_tidied(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    tidied = {}
    for key, value in schema.items():
        if key == "title" or (key == "default" and value is None):
            continue
        if key in ("properties", "$defs"):
            tidied[key] = {name: _tidied(part) for name, part in value.items()}
        else:
            tidied[key] = _tidied(value)
    return tidied
