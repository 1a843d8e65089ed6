"""Which model answers the current request, and its engine once that is loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from flask import request

from pyserve.backend.protocol import EngineLease, Lease, ModelStatus
from pyserve.engine.protocol import Engine
from pyserve.models.profile import PLAIN, ModelProfile
from pyserve.models.routing import ANY_ENDPOINT, not_found, resolve
from pyserve.openai.configured.defaults import with_defaults
from pyserve.openai.configured.templated import templated
from pyserve.schemas.sampling import SamplingFields
from pyserve.web.answer.model_names import model_names, served_models, usable_models
from pyserve.web.request import access
from pyserve.web.request.admission import admit
from pyserve.web.request.disconnect import ClientWatch
from pyserve.web.request.notes import keep_alive_s, note_model
from pyserve.web.request.services import services
from pyserve.web.request.wait_budget import Patience, request_patience

T = TypeVar("T")
Body = TypeVar("Body", bound=SamplingFields)

# Blueprints, and what models are said to be for.
ENDPOINTS = {
    "chat": "chat",
    "responses": "chat",
    "completions": "completion",
    "edits": "edit",
    "embeddings": "embeddings",
}


def pick_model(named: str | None, path_model: str | None = None) -> str:
    """The id of the model that answers the current request, noted for the response's header."""
    parts = services()
    wanted = named or path_model or request.args.get("model")
    statuses = served_models()
    usable = usable_models()
    names = model_names(parts.config, usable)
    if len(usable) < len(statuses):
        meant = model_names(parts.config, statuses).find(wanted)
        if meant is not None and meant not in names.ids:
            raise not_found(wanted, names.ids)
    model_id = resolve(
        wanted,
        access.named_by_token(),
        names,
        strict=parts.config.strict_model_names,
        endpoint=ENDPOINTS.get((request.blueprint or "").rpartition(".")[2], ANY_ENDPOINT),
    )
    note_model(model_id)
    return model_id


def is_ready(model_id: str) -> bool:
    """Whether the model can answer without being loaded first."""
    status = _status_of(model_id)
    return status is not None and status.state == "ready"


def profile_of(model_id: str) -> ModelProfile:
    """The profile of a served model."""
    status = _status_of(model_id)
    return PLAIN if status is None else status.profile


def _status_of(model_id: str) -> ModelStatus | None:
    statuses = served_models()
    return next((status for status in statuses if status.id == model_id), None)


def configured(body: Body, path_model: str | None = None) -> Body:
    """`body` with the defaults of the model that will answer it.

    Raises what `pick_model` raises.
    """
    return with_defaults(body, profile_of(pick_model(body.model, path_model)))


def lease_engine(model_id: str, patience: Patience, watch: ClientWatch) -> Lease:
    """The model's engine with its templates, waiting for it as long as the client does.

    Raises what `Backend.lease` raises, and ClientGoneError.
    """
    parts = services()
    status = _status_of(model_id)
    lease = parts.backend.lease(
        model_id if status is None else status.engine_id,
        wait_s=patience.at_most(parts.config.load_timeout_s),
        keep_alive_s=keep_alive_s(),
        on_wait=watch.check,
    )
    return EngineLease(templated(lease.engine, profile_of(model_id).prompt), lease.release)


def ask_engine(named: str | None, call: Callable[[Engine], T]) -> T:
    """What `call` has to say about the engine of the current request's model.

    It takes the place of a generating request meanwhile.
    """
    permit = admit()
    try:
        watch = ClientWatch(request.environ)
        lease = lease_engine(pick_model(named), request_patience(), watch)
        try:
            return call(lease.engine)
        finally:
            lease.release()
    finally:
        permit.release()
