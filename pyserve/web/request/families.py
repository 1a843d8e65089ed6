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


@dataclass(frozen=True)
class Family:
    """An API. paths: all of its own. header: its clients send it, to any path.

    id_header: where its clients look for the id of a request, beside X-Request-Id.
    takes_untyped: some of its clients send JSON without a content type, or as mere bytes.
    """

    errors: ErrorShape
    paths: re.Pattern[str]
    header: str | None = None
    id_header: str | None = None
    takes_untyped: bool = False


NO_HEADERS = Headers()
DEFAULT = Family(OPENAI, re.compile(""))
FAMILIES = (
    Family(
        ANTHROPIC,
        re.compile(r"(?:/v1)?(?:/engines/.+)?/messages(?:/|\Z)"),
        header="Anthropic-Version",
        id_header="Request-Id",
    ),
    Family(OLLAMA, re.compile(r"/api(?:/|\Z)"), takes_untyped=True),
)


def install(app: Flask) -> None:
    """Have responses tell their id where the clients of their API look for it."""
    app.after_request(_add_id)


def family_of(path: str, headers: Headers = NO_HEADERS, prefix: str = "") -> Family:
    """The API of a request to `path` with these headers. prefix: `--api-prefix`."""
    path = path.removeprefix(prefix)
    for family in FAMILIES:
        if family.paths.match(path) or (family.header is not None and family.header in headers):
            return family
    return DEFAULT


def current_family() -> Family:
    """That of the current request."""
    return family_of(request.path, request.headers, services().config.api_prefix)


def _add_id(response: Response) -> Response:
    header = current_family().id_header
    if header is not None:
        response.headers[header] = request_id()
    return response
