"""What is noted about the current request: its id, its model, and what its headers say of them."""

from __future__ import annotations

import re
import secrets
from urllib.parse import quote

from flask import Flask, Response, g, request

MAX_ID_CHARS = 128
_SANE = re.compile(rf"[!-~]{{1,{MAX_ID_CHARS}}}")


def install(app: Flask) -> None:
    """Give each request an id before it is handled, and each response its headers."""
    app.before_request(_set_id)
    app.after_request(_add_headers)


def request_id() -> str:
    """The current request's id: the client's X-Request-Id if it is sane, else a fresh one."""
    if "request_id" not in g:
        _set_id()
    return str(g.request_id)


def fresh_id() -> str:
    """An id that no other request has."""
    return f"req_{secrets.token_hex(12)}"


def note_model(model_id: str) -> None:
    """Name the model that answers the current request, for X-Model-Resolved."""
    g.model_resolved = model_id


def note_keep_alive(seconds: float | None) -> None:
    """Say how long the model of the current request is to stay; None: as it is configured."""
    g.keep_alive_s = seconds


def keep_alive_s() -> float | None:
    """What was noted last for the current request."""
    seconds: float | None = g.get("keep_alive_s")
    return seconds


def note_dropped(n_messages: int) -> None:
    """Say how many messages were left out of the current request, for X-Dropped-Messages."""
    g.n_dropped = n_messages


def sane_id(given: str) -> str:
    """The id that a client gave, or a fresh one in its place."""
    return given if _SANE.fullmatch(given) else fresh_id()


def _set_id() -> None:
    g.request_id = sane_id(request.headers.get("X-Request-Id", ""))


def _add_headers(response: Response) -> Response:
    response.headers["X-Request-Id"] = request_id()
    if "model_resolved" in g:
        response.headers["X-Model-Resolved"] = quote(g.model_resolved, safe=" /:@+=,;()[]{}!#$&'*")
    if "n_dropped" in g:
        response.headers["X-Dropped-Messages"] = str(g.n_dropped)
    return response
