"""GET / (server info, or the page), GET /openapi.json, GET /docs, and their static files.

They show the other endpoints, and are the only ones outside of the table.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable

import msgspec
from flask import Response, request
from werkzeug.exceptions import NotFound

from pyserve import __version__
from pyserve.api.endpoint import Endpoint, all_operations
from pyserve.api.endpoints import ENDPOINTS, MAIN
from pyserve.openai.document import examples
from pyserve.openai.document.build import document
from pyserve.openai.document.operation import Operation
from pyserve.openai.server.about import About
from pyserve.web.answer.model_names import usable_models
from pyserve.web.request.own_urls import shown_prefix
from pyserve.web.request.replies import json_reply
from pyserve.web.request.services import services

endpoint = Endpoint("pages", tag="Server", needs_key=False)

JSON, HTML, TEXT = "application/json", "text/html", "text/plain"
RUNNING = "Ollama is running"  # its clients look for it
CONTENT_TYPES = {"html": HTML, "js": "text/javascript", "css": "text/css"}
UI = files("pyserve") / "ui"
# The pages load nothing from elsewhere, run no script but their own, and never make HTML of a text.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'; trusted-types 'none'"
)

MAX_DOCUMENTS = 8
EVERY = (*ENDPOINTS, endpoint)


@functools.lru_cache(MAX_DOCUMENTS)
def document_json(prefix: str = "") -> bytes:
    """The OpenAPI document. prefix: of all paths. Any thread."""
    return msgspec.json.encode(document(all_operations(EVERY), prefix))


def _about(models: list[str], prefix: str = "") -> About:
    operations = [operation for each in MAIN for operation in each.operations]
    lines = [
        f"{each.method.upper()} {prefix}{'/v1' if each.is_below_v1 else ''}{each.path}"
        for each in operations
    ]
    return About("pyserve", __version__, models, lines)


@endpoint.view(
    Operation(
        name="about",
        method="get",
        path="/",
        summary="The server, its models and endpoints",
        details="With `Accept: text/html`, as browsers send it: the page. With `--ollama`, and"
        " `text/plain` or no wish: what Ollama says.",
        response=About,
        example=lambda: _about([examples.MODEL]),
    )
)
def about() -> Response:
    config = services().config
    kinds = [JSON, HTML]
    if config.ollama:  # of those that a client likes as much, the first is chosen
        kinds = [TEXT, *kinds]
    kind = request.accept_mimetypes.best_match(kinds, kinds[0])
    if kind == TEXT:
        response = Response(RUNNING, content_type=f"{TEXT}; charset=utf-8")
    elif kind == JSON:
        response = json_reply(_about([status.id for status in usable_models()], shown_prefix()))
    elif request.path == config.api_prefix:  # the page's relative links need the slash at its end
        location = f"{config.api_prefix.rpartition('/')[2]}/"
        response = Response(status=308, headers={"Location": location})
    else:
        response = asset("index.html")
    response.vary.add("Accept")
    return response


@endpoint.view(
    Operation(
        name="openapi",
        method="get",
        path="/openapi.json",
        summary="This document",
    )
)
def openapi() -> Response:
    document = document_json(shown_prefix())
    response = Response(document, content_type="application/json")
    response.headers["Cache-Control"] = "no-cache"
    return _conditional(response)


@endpoint.view(
    Operation(
        name="docs",
        method="get",
        path="/docs",
        summary="This document as a page",
        media_type="text/html",
    ),
    strict_slashes=True,  # its links are relative
)
def docs() -> Response:
    return asset("docs.html")


@endpoint.view(
    Operation(
        name="asset",
        method="get",
        path="/ui/{name}",
        summary="A static file of the pages",
        media_type="*/*",
    )
)
def asset(name: str) -> Response:
    """A file of `pyserve/ui`; 304 where the client has it already."""
    if name not in assets():
        raise NotFound
    content_type = f"{CONTENT_TYPES[name.rpartition('.')[2]]}; charset=utf-8"
    headers = {
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-cache",
    }
    data = UI.joinpath(*name.split("/")).read_bytes()
    return _conditional(Response(data, content_type=content_type, headers=headers))


@functools.cache
def assets() -> frozenset[str]:
    """The names of all files of the pages."""
    return frozenset(_names(UI, ""))


def _names(directory: Traversable, path: str) -> Iterator[str]:
    for entry in directory.iterdir():
        if entry.is_dir():
            yield from _names(entry, f"{path}{entry.name}/")
        elif entry.name.rpartition(".")[2] in CONTENT_TYPES:
            yield path + entry.name


def _conditional(response: Response) -> Response:
    """The response, or 304 where the client has it already."""
    response.add_etag()
    response.make_conditional(request)
    return response
