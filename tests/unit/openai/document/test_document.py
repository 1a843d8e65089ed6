"""The OpenAPI document on its own; tests/api/document/test_document.py holds it against the app."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from pyserve.api.endpoint import all_operations
from pyserve.api.pages import EVERY, document_json
from pyserve.openai.document.build import document
from pyserve.openai.document.fields import FIELDS, describe
from pyserve.openai.document.operation import LINES

OPERATIONS = all_operations(EVERY)
DOCUMENT: dict[str, Any] = json.loads(document_json())
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
REQUESTS = sorted(
    {each.__name__ for op in OPERATIONS for each in (op.request, *op.other_requests) if each}
)


def errors_of(value: Any, schema: dict[str, Any]) -> list[str]:
    """What is wrong with `value`, by a schema of the document."""
    validator = Draft202012Validator({**schema, "components": DOCUMENT["components"]})
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


def contents() -> list[tuple[str, dict[str, Any]]]:
    """Every JSON body in the document, with where it is."""
    found = []
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
            for body in bodies:
                for kind, content in body.get("content", {}).items():
                    found.append((f"{method} {path} {kind}", content))
    return found


def test_it_is_openapi():
    validate(DOCUMENT)
    assert DOCUMENT["openapi"].startswith("3.1")


def test_it_is_the_same_whenever_it_is_made():
    assert document(OPERATIONS) == document(OPERATIONS)


@pytest.mark.parametrize(("where", "content"), contents(), ids=lambda x: x if str(x) == x else "")
def test_examples_are_as_the_schemas_say(where, content):
    if where.endswith("/json") and "/openapi.json" not in where:
        assert content["example"]
        assert errors_of(content["example"], content["schema"]) == []


@pytest.mark.parametrize(
    ("path", "kind"), [(op.path, op.stream_type) for op in OPERATIONS if op.events]
)
def test_streamed_examples_are_as_the_schemas_say(path, kind):
    stream = DOCUMENT["paths"][path]["post"]["responses"]["200"]["content"][kind]
    begin = "{" if kind == LINES else "data: {"
    lines = [line for line in stream["example"].split("\n") if line.startswith(begin)]
    assert len(lines) >= 3
    for line in lines:
        assert errors_of(json.loads(line.removeprefix("data: ")), stream["x-event-schema"]) == []


def test_error_examples_are_as_the_schema_says():
    for response in DOCUMENT["components"]["responses"].values():
        (content,) = response["content"].values()
        assert errors_of(content["example"], content["schema"]) == []


@pytest.mark.parametrize("name", REQUESTS)
def test_every_field_of_a_request_is_described(name):
    missing = [f for f in SCHEMAS[name]["properties"] if describe(name, f) is None]
    assert missing == [], "say what they do in pyserve/openai/document/fields.py"


def test_every_description_is_of_a_field():
    known = {f for name in REQUESTS for f in SCHEMAS[name]["properties"]}
    for key in FIELDS:
        schema, _, field = key.partition(".")
        assert key in known or field in SCHEMAS[schema]["properties"], key


@pytest.mark.parametrize(
    ("name", "field", "expected"),
    [
        ("ChatRequest", "temperature", {"type": "number", "minimum": 0, "maximum": 2}),
        ("ChatRequest", "top_logprobs", {"type": "integer", "minimum": 0, "maximum": 20}),
        ("ChatRequest", "cache_salt", {"type": "string", "maxLength": 256}),
    ],
)
def test_ranges_are_those_of_the_schemas(name, field, expected):
    assert SCHEMAS[name]["properties"][field]["anyOf"] == [expected, {"type": "null"}]


def test_what_is_required_and_what_is_refused_is_said():
    assert SCHEMAS["ChatRequest"]["required"] == ["messages"]
    assert "penalty_alpha" in SCHEMAS["EditRequest"]["x-refused-fields"]
    assert "prompt" in SCHEMAS["ResponseRequest"]["x-refused-fields"]


def test_a_response_has_all_its_fields():
    completion = SCHEMAS["ChatCompletion"]
    by_request = {"metadata", "prompt_logprobs", "prompt_token_ids", "timings", "truncation"}
    assert set(completion["required"]) == set(completion["properties"]) - by_request
    assert "usage" not in SCHEMAS["ChatChunk"]["required"]
