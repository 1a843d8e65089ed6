"""A request's client, for code without a Flask context: disconnect, patience, tenant, id."""

from __future__ import annotations

from dataclasses import dataclass

from flask import request

from pyserve.web.keys.keys import ApiKey
from pyserve.web.request.access import current_key, tenant
from pyserve.web.request.disconnect import ClientWatch
from pyserve.web.request.notes import Notes, notes, request_id
from pyserve.web.request.wait_budget import Patience, request_patience


@dataclass(frozen=True)
class Caller:
    """The client of one request.

    watch: detects a disconnect. patience: its limit for waiting until work begins.
    tenant: the owner of the computed prefixes it shares. request_id: for logs and errors.
    key: its API key, if it has one. noted: the notes of the request.
    """

    watch: ClientWatch
    patience: Patience
    tenant: str
    request_id: str
    key: ApiKey | None
    noted: Notes


def current_caller() -> Caller:
    """The current request's caller. Raises InvalidRequestError for a bad header."""
    watch = ClientWatch(request.environ)
    return Caller(watch, request_patience(), tenant(), request_id(), current_key(), notes())
