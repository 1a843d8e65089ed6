"""Which API a request belongs to, by its path or a header of that API's clients.

It decides how errors are told, also those of paths that do not exist.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from flask import Flask, Response, request
from werkzeug.datastructures import Headers

from pyserve.anthropic.errors import ANTHROPIC
from pyserve.ollama.errors import OLLAMA
from pyserve.openai.server.error_shape import OPENAI, ErrorShape
from pyserve.web.request.notes import request_id
from pyserve.web.request.services import services

JSON = "application/json"


@dataclass(frozen=True)
class Family:
    """An API. paths: all of its own. header: its clients send it, to any path.

    id_header: where its clients look for the id of a request, beside X-Request-Id.
    takes_untyped: some of its clients send JSON without a content type, or as mere bytes.
    json_type: the Content-Type of its JSON. limit_headers: what its headers of rate limits begin
    with, beside OpenAI's.
    """

    errors: ErrorShape
    paths: re.Pattern[str]
    header: str | None = None
    id_header: str | None = None
    takes_untyped: bool = False
    json_type: str = JSON
    limit_headers: str = ""


NO_HEADERS = Headers()
_LINE = re.compile(rb"[A-Z]+ (?:https?://[^/ ]*)?(/[^ ?]*)")
DEFAULT = Family(OPENAI, re.compile(""))
FAMILIES = (
    Family(
        ANTHROPIC,
        re.compile(r"(?:/v1)?(?:/engines/.+)?/messages(?:/|\Z)"),
        header="Anthropic-Version",
        id_header="Request-Id",
        limit_headers="anthropic-ratelimit",
    ),
    Family(
        OLLAMA,
        re.compile(r"/api(?:/|\Z)"),
        takes_untyped=True,
        json_type=f"{JSON}; charset=utf-8",
    ),
)


def install(app: Flask) -> None:
    """Have responses tell their id and type as the clients of their API expect them."""
    app.after_request(_in_the_familys_way)


def family_of(path: str, headers: Headers = NO_HEADERS, prefix: str = "") -> Family:
    """The API of a request to `path` with these headers. prefix: `--api-prefix`."""
    path = path.removeprefix(prefix)
    for family in FAMILIES:
        if family.paths.match(path) or (family.header is not None and family.header in headers):
            return family
    return DEFAULT


def family_of_line(data: bytes, prefix: str = "") -> Family:
    """That of a request which begins with `data`, by the path in its first line alone."""
    line = _LINE.match(data)
    return DEFAULT if line is None else family_of(line[1].decode("latin-1"), prefix=prefix)


def current_family() -> Family:
    """That of the current request."""
    return family_of(request.path, request.headers, services().config.api_prefix)


def _in_the_familys_way(response: Response) -> Response:
    family = current_family()
    if family.id_header is not None:
        response.headers[family.id_header] = request_id()
    if response.content_type == JSON:
        response.content_type = family.json_type
    return response
