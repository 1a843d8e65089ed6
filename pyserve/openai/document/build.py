"""Builds the OpenAPI document (GET /openapi.json) from the schemas of requests and responses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from pyserve import __version__
from pyserve.openai.document.errors import error_reference, error_responses, shown_status
from pyserve.openai.document.operation import LINES, Operation
from pyserve.openai.document.schemas import Schemas, any_of

TITLE = "pyserve"
ABOUT = (
    "GGUF language models on CPUs through the OpenAI text API. All paths are there with and without"
    " `/v1`. Optional fields may be null. Fields that would change the answer and are not supported"
    " are refused; others without effect are named in the header `X-Ignored-Fields`."
)
# Of whatever asks a model.
HEADERS = {
    "X-Request-Timeout": (
        "Seconds that the request may wait until work on it begins; with `; whole` at its end:"
        " until it is over.",
        {"type": "string", "pattern": "^[1-9][0-9]{0,4}(; whole)?$"},
    ),
    "X-Background": (
        "`true`: it is worked on only while nothing else is.",
        {"type": "string", "enum": ["true", "false"]},
    ),
    "X-Session-Id": (
        "What the conversation is called, in place of `prompt_cache_key`.",
        {"type": "string", "maxLength": 512},
    ),
}
SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "api_key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
}
JSON = "application/json"
FORM = "multipart/form-data"
FIRST_ERROR = 400
OF_BODIES = (400, 404, 413, 415, 429, 503)
OF_MODELS = (400, 404, 429, 503)
PATH_PARAMETER = re.compile(r"\{(\w+)\}")


def document(operations: Sequence[Operation], prefix: str = "") -> dict[str, Any]:
    """The OpenAPI 3.1 document of the operations. prefix: `--api-prefix`."""
    schemas = Schemas(operations)
    bare = {"url": prefix or "/"}
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        described = _operation(operation, schemas)
        if not operation.is_below_v1:
            described["servers"] = [bare]
        paths.setdefault(operation.path, {})[operation.method] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": TITLE,
            "version": __version__,
            "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": f"{prefix}/v1"}, bare],
        "paths": paths,
        "components": {
            "schemas": schemas.by_name,
            "parameters": {
                name: {"name": name, "in": "header", "description": text, "schema": schema}
                for name, (text, schema) in HEADERS.items()
            },
            "responses": error_responses(dict.fromkeys(each.errors for each in operations)),
            "securitySchemes": SECURITY,
        },
        "security": [{}, *({name: []} for name in SECURITY)],
    }


def _operation(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
    }
    if operation.details:
        described["description"] = operation.details
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in PATH_PARAMETER.findall(operation.path)
    ]
    for place, given in (("query", operation.query), ("header", operation.headers)):
        parameters += [
            {"name": name, "in": place, "description": text, "schema": {"type": "string"}}
            for name, text in given.items()
        ]
    if operation.asks_model:
        parameters += [{"$ref": f"#/components/parameters/{name}"} for name in HEADERS]
    if parameters:
        described["parameters"] = parameters
    if operation.request is not None:
        schema = any_of([kind.__name__ for kind in operation.requests])
        content = {"schema": schema, "example": operation.body}
        described["requestBody"] = {"required": True, "content": {JSON: content}}
    if operation.form:
        described["requestBody"] = {
            "required": True,
            "content": {FORM: {"schema": _form(operation)}},
        }
    described["responses"] = _responses(operation, schemas)
    return described


def _form(operation: Operation) -> dict[str, Any]:
    """The schema of a form; its file is its first field."""
    fields = {
        name: {"type": "string", "description": text} for name, text in operation.form.items()
    }
    return {"type": "object", "properties": fields, "required": list(fields)[:2]}


def _responses(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    """The responses by status: success, the errors to expect, and any other error."""
    shape = operation.errors
    is_built = operation.status < FIRST_ERROR
    usual = _success(operation, schemas) if is_built else error_reference(operation.status, shape)
    found = {str(operation.status): usual}
    for status in sorted(_errors_of(operation)):
        found[str(shown_status(status, shape))] = error_reference(status, shape)
    return found | {"default": error_reference(500, shape)}


def _success(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    shown: dict[str, Any] = {"schema": {}}
    if operation.response is not None and operation.example is not None:
        schema = schemas.of(operation.response, *operation.variants)
        if operation.is_list:
            schema = {"type": "array", "items": schema}
        if operation.lists:
            items = schemas.of(*operation.lists)
            schema = {"anyOf": [schema, {"type": "array", "items": items}]}
        shown = {"schema": schema, "example": operation.example()}
    content = {operation.media_type: shown}
    if operation.events is not None:
        content[operation.stream_type] = {
            "schema": {"type": "string"},
            "x-event-schema": schemas.of(*operation.event_types),
            "example": _stream_text(operation),
        }
    success: dict[str, Any] = {"description": "Success"}
    if operation.media_type:
        success["content"] = content
    return success


def _errors_of(operation: Operation) -> set[int]:
    """The statuses of errors that its clients have to expect."""
    found = {403}  # of a foreign host or page
    if operation.needs_key:
        found.add(401)
    if operation.request is not None or operation.form:
        found.update(OF_BODIES)
    if operation.asks_model:
        found.update(OF_MODELS)
    if operation.query:
        found.add(400)
    if PATH_PARAMETER.search(operation.path) and operation.status < FIRST_ERROR:
        found.add(404)
    if operation.may_be_unavailable:
        found.add(503)
    return found


def _stream_text(operation: Operation) -> str:
    """The events as sent, named in APIs whose events have types; most others end with [DONE]."""
    events = [] if operation.events is None else operation.events()
    if operation.stream_type == LINES:
        return "".join(msgspec.json.encode(event).decode() + "\n" for event in events)
    names = [event.get("type") for event in events]
    lines = [
        (f"event: {name}\n" if name else "") + f"data: {msgspec.json.encode(event).decode()}\n\n"
        for name, event in zip(names, events, strict=True)
    ]
    ends = operation.ends_with_done
    is_closed = not names[-1] if ends is None else ends
    return "".join(lines) + ("data: [DONE]\n\n" if is_closed else "")
