"""POST /models/load, /models/unload, /models/reload."""

from __future__ import annotations

from flask import Response, request

from pyserve.api.endpoint import Endpoint
from pyserve.api.models import list_all, named_model
from pyserve.errors import ModelBusyError, ModelNotFoundError
from pyserve.openai.document import examples
from pyserve.openai.document.operation import Operation
from pyserve.openai.server.models import ModelAction, ModelList
from pyserve.schemas.models import LoadRequest, UnloadRequest
from pyserve.web.answer.leasing import lease_engine
from pyserve.web.answer.target import target_of
from pyserve.web.pulls.jobs import cancel_of
from pyserve.web.request.access import require_admin
from pyserve.web.request.body import read_body
from pyserve.web.request.caller import current_caller
from pyserve.web.request.disconnect import ClientWatch
from pyserve.web.request.replies import json_reply
from pyserve.web.request.services import services
from pyserve.web.request.wait_budget import HEADER, request_patience

endpoint = Endpoint("loading", tag="Models")

PATIENCE = {HEADER: "Seconds that the request may wait until it is done."}


@endpoint.view(
    Operation(
        name="loadModel",
        method="post",
        path="/models/load",
        summary="Load a model",
        details="Unloads idle models to make room. Needs an administrator's key, if keys are set.",
        headers=PATIENCE,
        request=LoadRequest,
        body={"model": examples.MODEL},
        response=ModelAction,
        example=lambda: ModelAction(success=True, model=examples.MODEL),
    )
)
def load() -> Response:
    """Load a model, even if its last load has just failed."""
    require_admin()
    body = read_body(LoadRequest)
    parts = services()
    target = target_of(named_model(body.model))
    parts.backend.load(target.engine_id)
    if body.wait is not False:
        lease_engine(parts, target, current_caller()).release()
    return json_reply(ModelAction(success=True, model=target.engine_id))


@endpoint.view(
    Operation(
        name="unloadModel",
        method="post",
        path="/models/unload",
        summary="Unload a model when its running requests have ended",
        details="A request for it loads it again. One that is being got is got no further. Needs an"
        " administrator's key, if keys are set.",
        headers=PATIENCE,
        request=UnloadRequest,
        body={"model": examples.MODEL},
        response=ModelAction,
        example=lambda: ModelAction(success=True, model=examples.MODEL),
    )
)
def unload() -> Response:
    """Unload a model when its running requests have ended; `force` fails them."""
    require_admin()
    body = read_body(UnloadRequest)
    parts = services()
    try:
        model_id = named_model(body.model).engine_id
    except ModelNotFoundError:
        if not cancel_of(body.model):
            raise
        return json_reply(ModelAction(success=True, model=body.model))
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


@endpoint.view(
    Operation(
        name="reloadModels",
        method="post",
        path="/models/reload",
        summary="Read the configuration of the models again",
        details="Unchanged models keep running. Needs an administrator's key, if keys are set.",
        response=ModelList,
        example=lambda: ModelList(data=[examples.model()]),
    )
)
def reload() -> Response:
    """Read the models' configuration again; unchanged models keep running."""
    require_admin()
    services().backend.reload()
    return list_all()
