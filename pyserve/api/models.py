"""GET /v1/models, GET /v1/models/{id}, GET /props"""

from __future__ import annotations

from flask import Blueprint, Response

from pyserve.models.resolve import not_found
from pyserve.openai.models import Model, ModelList, model_object, model_props
from pyserve.supervisor.backend import ModelStatus
from pyserve.web.access import may_use
from pyserve.web.engines import ask_engine, model_names, pick_model
from pyserve.web.replies import json_reply
from pyserve.web.services import services

blueprint = Blueprint("models", __name__)


@blueprint.get("/models")
def list_all() -> Response:
    statuses = [status for status in services().backend.models() if may_use(status.id)]
    return json_reply(ModelList(data=[_model(status) for status in statuses]))


@blueprint.get("/models/<path:model_id>")
def get_one(model_id: str) -> Response:
    """The model of that name: unlike generation, this never falls back to the only one."""
    parts = services()
    statuses = [status for status in parts.backend.models() if may_use(status.id)]
    found = model_names(parts.config, statuses).find(model_id)
    for status in statuses:
        if status.id == found:
            return json_reply(_model(status))
    raise not_found(model_id, [status.id for status in statuses])


@blueprint.get("/props")
def get_props() -> Response:
    model_id = pick_model(None)
    info = ask_engine(model_id, lambda engine: engine.info())
    return json_reply(model_props(model_id, info))


def _model(status: ModelStatus) -> Model:
    return model_object(status.id, status.created, status.state, status.info)
