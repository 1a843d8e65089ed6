"""Chooses the model of the current request, once: from its body, path, query or bearer token."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec
from flask import request

from pyserve.backend.protocol import ModelStatus
from pyserve.models.profile import ModelProfile, ShapeProfile
from pyserve.models.routing import ANY_ENDPOINT, not_found, resolve
from pyserve.web.answer.model_names import model_names, served_models, usable_models
from pyserve.web.request import access
from pyserve.web.request.notes import notes
from pyserve.web.request.services import services


@dataclass(frozen=True)
class Target:
    """A chosen model, and its profile at that time.

    engine_id: the model whose engine answers. profile: what the model's configuration says.
    is_ready: it is loaded. keep_alive_s: seconds until it is unloaded when idle, None: as
    configured. n_ctx: most tokens of prompt and answer, None: the model's context.
    """

    model_id: str
    engine_id: str
    profile: ModelProfile
    is_ready: bool
    keep_alive_s: float | None = None
    n_ctx: int | None = None


def choose_target(body: object = None, path_model: str | None = None) -> Target:
    """The model that `body.model`, the path, the query or the bearer token names.

    With a single model, or where nothing is named, the default. Sets X-Model-Resolved.
    body.keep_alive, body.context_limit: see `Target`. Raises ModelNotFoundError.
    """
    parts = services()
    wanted = getattr(body, "model", None) or path_model or request.args.get("model")
    statuses = served_models()
    usable = usable_models(statuses)
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
        endpoint=parts.endpoints.usecase(request.blueprint) or ANY_ENDPOINT,
    )
    notes().model_id = model_id
    status = next(status for status in usable if status.id == model_id)
    target = target_of(status, keep_alive_s=getattr(body, "keep_alive", None))
    return replace(target, n_ctx=getattr(body, "context_limit", None))


def target_of(status: ModelStatus, *, keep_alive_s: float | None = None) -> Target:
    """The target of a model that was found already."""
    is_ready = status.state == "ready"
    return Target(status.id, status.engine_id, status.profile, is_ready, keep_alive_s)


def unshaped(target: Target) -> Target:
    """The target without what its configuration does to the texts of answers."""
    profile = msgspec.structs.replace(target.profile, shape=ShapeProfile())
    return replace(target, profile=profile)
