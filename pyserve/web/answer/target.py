"""Chooses the model of the current request, once: from its body, path, query or bearer token."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec
from flask import request

from pyserve.backend.protocol import ModelStatus
from pyserve.errors import InvalidRequestError
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
    chat_template: the request's own, "" = none.
    """

    model_id: str
    engine_id: str
    profile: ModelProfile
    is_ready: bool
    keep_alive_s: float | None = None
    n_ctx: int | None = None
    chat_template: str = ""


def choose_target(body: object = None, path_model: str | None = None) -> Target:
    """The model that `body.model`, the path, the query or the bearer token names.

    With a single model, or where nothing is named, the default. Sets X-Model-Resolved.
    body.keep_alive, body.context_limit, body.chat_template: see `Target`. Raises
    ModelNotFoundError, and InvalidRequestError for a template where none is trusted.
    """
    parts = services()
    source = getattr(body, "chat_template", None)
    if source and not parts.config.trust_request_chat_template:
        message = "chat_template is not taken: this server has no --trust-request-chat-template"
        raise InvalidRequestError(message, param="chat_template")
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
    target = replace(target, n_ctx=getattr(body, "context_limit", None))
    return _with_template(target, source) if source else target


def target_of(status: ModelStatus, *, keep_alive_s: float | None = None) -> Target:
    """The target of a model that was found already."""
    is_ready = status.state == "ready"
    return Target(status.id, status.engine_id, status.profile, is_ready, keep_alive_s)


def _with_template(target: Target, source: str) -> Target:
    """The target with the request's template in place of those of its configuration."""
    prompt = msgspec.structs.replace(
        target.profile.prompt, chat=None, chat_message=None, function=None
    )
    profile = msgspec.structs.replace(target.profile, prompt=prompt)
    return replace(target, profile=profile, chat_template=source)


def unshaped(target: Target) -> Target:
    """The target without what its configuration does to the texts of answers."""
    profile = msgspec.structs.replace(target.profile, shape=ShapeProfile())
    return replace(target, profile=profile)
