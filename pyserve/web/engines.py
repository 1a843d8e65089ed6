"""Which model answers the current request, and its engine once that is loaded."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from flask import request

from pyserve.engine.protocol import Engine
from pyserve.errors import ModelLoadingError
from pyserve.models.resolve import not_found, resolve
from pyserve.supervisor.backend import Backend
from pyserve.web import access
from pyserve.web.admission import admit
from pyserve.web.disconnect import ClientWatch
from pyserve.web.request_id import note_model
from pyserve.web.services import services
from pyserve.web.timeout import request_patience

T = TypeVar("T")

LOADING_SLICE_S = 1.0


def pick_model(named: str | None, path_model: str | None = None) -> str:
    """The id of the model that answers the current request, noted for the response's header."""
    parts = services()
    wanted = named or path_model or request.args.get("model")
    available = [status.id for status in parts.backend.models()]
    usable = access.usable(available)
    if wanted in available and wanted not in usable:
        raise not_found(wanted, usable)
    model_id = resolve(
        wanted, access.named_by_token(), usable, strict=parts.config.strict_model_names
    )
    note_model(model_id)
    return model_id


def ready_engine(backend: Backend, model_id: str, wait_s: float, watch: ClientWatch) -> Engine:
    """The model's engine, waiting up to `wait_s` for it to be loaded while the client does.

    Raises what `Backend.engine` raises, and ClientGoneError.
    """
    deadline = time.monotonic() + wait_s
    while True:
        left_s = deadline - time.monotonic()
        try:
            return backend.engine(model_id, wait_s=max(0.0, min(left_s, LOADING_SLICE_S)))
        except ModelLoadingError:
            if left_s <= 0:
                raise
        watch.check()


def ask_engine(named: str | None, call: Callable[[Engine], T]) -> T:
    """What `call` has to say about the engine of the current request's model.

    It takes the place of a generating request meanwhile.
    """
    parts = services()
    permit = admit()
    try:
        wait_s = request_patience().at_most(parts.config.load_timeout_s)
        watch = ClientWatch(request.environ)
        return call(ready_engine(parts.backend, pick_model(named), wait_s, watch))
    finally:
        permit.release()
