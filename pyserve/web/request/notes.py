"""Headers that a request collects for its response: X-Request-Id, X-Model-Resolved and others."""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from flask import Flask, Response, g, request

from pyserve.web.request.work import Work

MAX_ID_CHARS = 128
MAX_SHOWN_NAMES = 16
MAX_SHOWN_CHARS = 200
LISTS = ("X-Ignored-Fields", "X-Ignored-Tools", "X-Ignored-Items", "X-Unenforced")
# All that `Notes` become; pages of other sites may read them as well.
NOTE_HEADERS = (
    "X-Request-Id",
    "X-Model-Resolved",
    "X-Queue-Position",
    "X-Dropped-Messages",
    "X-Compacted-Messages",
    *LISTS,
)
_SANE = re.compile(rf"[!-~]{{1,{MAX_ID_CHARS}}}")


def install(app: Flask) -> None:
    """Give each request an id before it is handled, and each response its headers."""
    app.before_request(_begin)
    app.after_request(_add_headers)


@dataclass
class Notes:
    """For the headers of the response; also from other threads, until the response begins.

    model_id: the model that answers. n_dropped: messages that were left out. n_compacted: those
    that a summary stands for. ignored: fields that
    had no effect. ignored_tools, ignored_items: types of tools that were not offered, and of items
    that are no part of the prompt. unenforced: places in schemas
    that the answer is only checked against, and fields whose constraint may not be kept.
    queue_position: of an answer that begins while its request is queued, 1 is the next one.
    work: what it has cost, when a request that generates is over.
    """

    request_id: str
    model_id: str | None = None
    n_dropped: int | None = None
    n_compacted: int | None = None
    ignored: list[str] = field(default_factory=list)
    ignored_tools: Sequence[str] = ()
    ignored_items: Sequence[str] = ()
    unenforced: Sequence[str] = ()
    queue_position: int | None = None
    work: Work | None = None


def notes() -> Notes:
    """The notes of the current request."""
    if "notes" not in g:
        g.notes = Notes(sane_id(request.headers.get("X-Request-Id", "")))
    found: Notes = g.notes
    return found


def request_id() -> str:
    """The current request's id: the client's X-Request-Id if it is sane, else a fresh one."""
    return notes().request_id


def fresh_id() -> str:
    """An id that no other request has."""
    return f"req_{secrets.token_hex(12)}"


def sane_id(given: str) -> str:
    """The id that a client gave, or a fresh one in its place."""
    return given if _SANE.fullmatch(given) else fresh_id()


def _begin() -> None:
    notes()


def _bounded(values: Sequence[str]) -> list[str]:
    """As many of `values` as a header has room for; `+N` stands for the others."""
    n_others = len(values) - MAX_SHOWN_NAMES
    return [*values[:MAX_SHOWN_NAMES], *([f"+{n_others}"] if n_others > 0 else [])]


def _place(name: str) -> str:
    """A place in a schema as a header can have it."""
    return quote(name, safe=" /:@+=;()[]{}!#$&'*?^|~<>\\")[:MAX_SHOWN_CHARS]


def _add_headers(response: Response) -> Response:
    noted = notes()
    response.headers["X-Request-Id"] = noted.request_id
    if noted.model_id is not None:
        response.headers["X-Model-Resolved"] = quote(noted.model_id, safe=" /:@+=,;()[]{}!#$&'*")
    if noted.queue_position is not None:
        response.headers["X-Queue-Position"] = str(noted.queue_position)
    if noted.n_dropped is not None:
        response.headers["X-Dropped-Messages"] = str(noted.n_dropped)
    if noted.n_compacted is not None:
        response.headers["X-Compacted-Messages"] = str(noted.n_compacted)
    lists = (
        noted.ignored,
        list(map(_sane, noted.ignored_tools)),
        _counted(noted.ignored_items),
        list(map(_place, noted.unenforced)),
    )
    for name, values in zip(LISTS, lists, strict=True):
        if values:
            response.headers[name] = ", ".join(_bounded(values))
    return response


def _counted(values: Sequence[str]) -> list[str]:
    """Each value once, with its number: `web_search_call; n=2`."""
    return [f"{value}; n={n}" for value, n in Counter(map(_sane, values)).items()]


def _sane(value: str) -> str:
    """What of a client's text may stand in a header."""
    return quote(value, safe="")[:MAX_ID_CHARS]
