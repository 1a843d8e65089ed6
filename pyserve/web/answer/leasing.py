"""Leases the engine of the chosen model from the backend, and waits while the model loads."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from flask import request

from pyserve.backend.protocol import EngineLease, Lease
from pyserve.engine.protocol import Engine
from pyserve.openai.configured.templated import templated
from pyserve.openai.context_limit import BoundedEngine
from pyserve.web.answer.target import Target
from pyserve.web.request.admission import admit
from pyserve.web.request.caller import Caller, current_caller
from pyserve.web.request.services import Services, services

T = TypeVar("T")
LOOK_QUERY = {
    "model": "The model, if several are served.",
    "autoload": "true: loads a model that is not loaded; else 400 `model_not_loaded`.",
}


def lease_engine(
    parts: Services, target: Target, caller: Caller, *, is_look: bool = False
) -> Lease:
    """Lease the model's engine with its templates; waits within the client's patience.

    is_look: as in `Backend.lease`. It has no more context than the caller's API key may use.
    Raises what `Backend.lease` raises, and ClientGoneError. Any thread; needs no Flask.
    """
    lease = parts.backend.lease(
        target.engine_id,
        wait_s=caller.patience.at_most(parts.config.load_timeout_s),
        keep_alive_s=target.keep_alive_s,
        is_look=is_look,
        on_wait=caller.watch.check,
    )
    engine = caller.with_engine(lease.engine)
    engine = templated(engine, target.profile.prompt, target.chat_template)
    if caller.key is not None and caller.key.max_context is not None:
        engine = BoundedEngine(engine, caller.key.max_context)
    return EngineLease(engine, lease.release)


def ask_engine(target: Target, call: Callable[[Engine], T], *, is_look: bool = False) -> T:
    """Run `call` with the engine of the model, under a lease.

    Meanwhile it counts as a generating request. is_look: as in `Backend.lease`.
    """
    permit = admit()
    try:
        lease = lease_engine(services(), target, current_caller(), is_look=is_look)
        try:
            return call(lease.engine)
        finally:
            lease.release()
    finally:
        permit.release()


def look_at_engine(target: Target, call: Callable[[Engine], T]) -> T:
    """The same for what tells of a model: loads none, unless the query says `autoload=true`.

    Raises ModelNotLoadedError.
    """
    is_look = request.args.get("autoload", "").lower() not in ("true", "1")
    return ask_engine(target, call, is_look=is_look)
