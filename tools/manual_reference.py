"""The manual's reference of the HTTP API, made of the OpenAPI document that the server shows."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pyserve.app import create_app
from pyserve.backend.static import StaticBackend
from pyserve.config import ServeConfig

HEADING = """# API reference

Made of the OpenAPI document, which a running server shows at `/openapi.json` and, to be tried, at
`/docs`. How the endpoints are meant is in [the API](../api.md).

"""
JSON = "application/json"
METHODS = ("get", "post", "put", "patch", "delete")
MAX_WORDS = 4  # of an enumeration
MAX_BOUND = 1_000_000  # larger ones only say that there is a cap

Document = Mapping[str, Any]


def openapi_document() -> Document:
    """The document of a server with default settings."""
    app = create_app(ServeConfig(), StaticBackend({}))
    document: Document = app.test_client().get("/openapi.json").get_json()
    return document


def api_reference(document: Document) -> str:
    """All operations in Markdown, by tag and in their order."""
    by_tag: dict[str, list[str]] = {}
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                operation = item[method]
                text = "\n".join([*_operation(document, method, path, operation), ""])
                by_tag.setdefault(operation["tags"][0], []).append(text)
    parts = [HEADING, document["info"]["description"], "\n\n"]
    for tag, texts in by_tag.items():
        parts += [f"## {tag}\n\n", *texts]
    return "".join(parts)


def _operation(document: Document, method: str, path: str, operation: Any) -> Iterator[str]:
    yield f"### {method.upper()} {path}\n"
    yield _text(f"{operation['summary']}. {operation.get('description', '')}") + "\n"
    parameters = [_found(document, each) for each in operation.get("parameters") or ()]
    if parameters:
        yield "| parameter | | |\n| --- | --- | --- |"
        for each in parameters:
            place = {"query": "in the query", "path": "in the path", "header": "header"}[each["in"]]
            yield f"| `{each['name']}` | {place} | {_text(each.get('description', ''))} |"
        yield ""
    for kind, content in (operation.get("requestBody") or {}).get("content", {}).items():
        yield from _fields(document, content.get("schema", {}), f"field of the body ({kind})")
        if kind == JSON and "example" in content:
            example = json.dumps(content["example"], ensure_ascii=False, indent=2)
            yield f"```json\n{example}\n```\n"
    success = operation["responses"].get("200", {})
    yield from _fields(
        document, success.get("content", {}).get(JSON, {}).get("schema", {}), "field of the answer"
    )


def _fields(document: Document, schema: Any, heading: str) -> Iterator[str]:
    schema = _found(document, schema)
    properties = schema.get("properties")
    if not properties:
        return
    required = set(schema.get("required", ()))
    yield f"| {heading} | type | |\n| --- | --- | --- |"
    for name, each in properties.items():
        mark = " *" if name in required and heading.startswith("field of the body") else ""
        kind = _text(_type(document, each)).replace("|", "\\|")
        yield f"| `{name}`{mark} | {kind} | {_text(each.get('description', ''))} |"
    yield ""


def _found(document: Document, schema: Any) -> Any:
    """What a reference stands for."""
    while "$ref" in schema:
        _, place, kind, name = schema["$ref"].split("/")
        schema = document[place][kind][name]
    return schema


def _type(document: Document, schema: Any) -> str:
    """A type in words; null, which means absent, is left out."""
    if "$ref" in schema:
        named = _found(document, schema)
        return schema["$ref"].rsplit("/", 1)[1] if "properties" in named else _type(document, named)
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            kinds = [_type(document, each) for each in schema[several]]
            return " or ".join(dict.fromkeys(kind for kind in kinds if kind != "null"))
    return _plain_type(document, schema)


def _plain_type(document: Document, schema: Any) -> str:
    words = schema.get("enum", [schema["const"]] if "const" in schema else [])
    if words:
        shown = ", ".join(json.dumps(word) for word in words[:MAX_WORDS])
        return shown + (" …" if len(words) > MAX_WORDS else "")
    kind = schema.get("type", "any")
    if kind == "array" and "items" in schema:
        return f"list of {_type(document, schema['items'])}"
    if not isinstance(kind, str):
        return " or ".join(each for each in kind if each != "null")
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None or high is None:
        return kind
    return f"{kind}, {low:g} to {high:g}" if high <= MAX_BOUND else f"{kind} from {low:g}"


def _text(text: str) -> str:
    """One line in which nothing is read as HTML, and which fits a cell of a table."""
    line = html.escape(" ".join(text.split()), quote=False).replace("|", "\\|")
    return line.replace("&lt;", "\\<").replace("&gt;", "\\>").replace("&amp;", "&")
