"""A request's client, for code without a Flask context: disconnect, patience, tenant, id."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flask import request

from pyserve.engine.protocol import Engine
from pyserve.errors import InvalidRequestError
from pyserve.web.keys.keys import ApiKey
from pyserve.web.request.access import current_key, tenant
from pyserve.web.request.disconnect import ClientWatch
from pyserve.web.request.inside import BACKGROUND_HEADER, InsideWatch, as_it_is, inside_of
from pyserve.web.request.notes import Notes, notes, request_id
from pyserve.web.request.wait_budget import Patience, request_patience

SESSION_HEADER = "X-Session-Id"
MAX_SESSION_CHARS = 512


@dataclass(frozen=True)
class Caller:
    """The client of one request.

    watch: detects a disconnect. patience: its limit for waiting until work begins.
    tenant: the owner of the computed prefixes it shares. request_id: for logs and errors.
    key: its API key, if it has one. noted: the notes of the request. is_background: it runs only
    while no others do. with_engine: what is put in front of its engine. session: what it calls the
    conversation, "" = nothing.
    """

    watch: ClientWatch
    patience: Patience
    tenant: str
    request_id: str
    key: ApiKey | None
    noted: Notes
    is_background: bool = False
    with_engine: Callable[[Engine], Engine] = as_it_is
    session: str = ""


def current_caller() -> Caller:
    """The current request's caller. Raises InvalidRequestError for a bad header."""
    inside = inside_of(request.environ)
    watch = ClientWatch(request.environ) if inside is None else InsideWatch(inside)
    return Caller(
        watch,
        request_patience(),
        tenant(),
        request_id(),
        current_key(),
        notes(),
        _is_background() if inside is None else inside.is_background,
        as_it_is if inside is None else inside.with_engine,
        request.headers.get(SESSION_HEADER, "")[:MAX_SESSION_CHARS],
    )


def _is_background() -> bool:
    """Whether the current request's header says so. Raises InvalidRequestError."""
    text = request.headers.get(BACKGROUND_HEADER, "false").strip().lower()
    if text not in ("true", "false"):
        message = f"{BACKGROUND_HEADER} must be true or false"
        raise InvalidRequestError(message, param=BACKGROUND_HEADER)
    return text == "true"
