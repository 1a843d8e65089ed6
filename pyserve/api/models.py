"""GET /models, /models/{id}, /props; POST /models/load, /models/unload, /models/reload."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from pyserve.backend.protocol import ModelStatus
from pyserve.errors import InvalidRequestError, ModelBusyError
from pyserve.models.patterns import PatternError, compiled
from pyserve.models.routing import not_found
from pyserve.openai.server.models import (
    ModelAction,
    ModelList,
    file_object,
    model_object,
    model_props,
)
from pyserve.schemas.models import LoadRequest, UnloadRequest
from pyserve.web.answer.leasing import ask_engine, lease_engine
from pyserve.web.answer.model_names import model_names, usable_models
from pyserve.web.answer.target import choose_target, target_of
from pyserve.web.request.access import require_admin
from pyserve.web.request.body import read_body
from pyserve.web.request.caller import current_caller
from pyserve.web.request.disconnect import ClientWatch
from pyserve.web.request.replies import json_reply
from pyserve.web.request.services import services
from pyserve.web.request.wait_budget import request_patience

MAX_FILTER_CHARS = 256

blueprint = Blueprint("models", __name__)


@blueprint.get("/models")
def list_all() -> Response:
    """The served models; the query's `filter` and `excludeConfigured` are LocalAI's."""
    statuses = usable_models()
    models = [model_object(status) for status in statuses]
    if request.args.get("excludeConfigured", "true").lower() == "false":
        models += [file for status in statuses if (file := file_object(status)) is not None]
    pattern = request.args.get("filter")
    if pattern:
        models = [model for model in models if _expression(pattern).search(model.id)]
    return json_reply(ModelList(data=models))


@blueprint.get("/models/<path:model_id>")
def get_one(model_id: str) -> Response:
    return json_reply(model_object(_named(model_id)))


@blueprint.post("/models/load")
def load() -> Response:
    """Load a model, even if its last load has just failed."""
    require_admin()
    body = read_body(LoadRequest)
    parts = services()
    target = target_of(_named(body.model))
    parts.backend.load(target.engine_id)
    if body.wait is not False:
        lease_engine(parts, target, current_caller()).release()
    return json_reply(ModelAction(success=True, model=target.engine_id))


@blueprint.post("/models/unload")
def unload() -> Response:
    """Unload a model when its running requests have ended; `force` fails them."""
    require_admin()
    body = read_body(UnloadRequest)
    parts = services()
    model_id = _named(body.model).engine_id
    wait_s = request_patience().at_most(parts.config.load_timeout_s)
    try:
        parts.backend.unload(
            model_id,
            wait_s=0.0 if body.wait is False else wait_s,
            is_forced=bool(body.force),
            on_wait=ClientWatch(request.environ).check,
        )
    except ModelBusyError:
        if body.wait is not False:
            raise
    return json_reply(ModelAction(success=True, model=model_id))


@blueprint.post("/models/reload")
def reload() -> Response:
    """Read the models' configuration again; unchanged models keep running."""
    require_admin()
    services().backend.reload()
    return list_all()


@blueprint.get("/props")
def get_props() -> Response:
    target = choose_target()
    info = ask_engine(target, lambda engine: engine.info())
    return json_reply(model_props(target.model_id, info, target.profile))


def _named(name: str) -> ModelStatus:
    """The model of that name. Unlike generation, this never falls back to the only one."""
    statuses = usable_models()
    found = model_names(services().config, statuses).find(name)
    for status in statuses:
        if status.id == found:
            return status
    raise not_found(name, [status.id for status in statuses])


def _expression(pattern: str) -> Any:
    if len(pattern) > MAX_FILTER_CHARS:
        message = f"filter has {len(pattern)} characters, at most {MAX_FILTER_CHARS}"
        raise InvalidRequestError(message, param="filter")
    try:
        return compiled(pattern)
    except PatternError as error:
        message = f"filter is no regular expression: {error}"
        raise InvalidRequestError(message, param="filter") from error
