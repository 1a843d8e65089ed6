"""GET /models, /models/{id}."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from pyserve.anthropic.errors import ANTHROPIC
from pyserve.anthropic.models import MessagesModel, MessagesModelList, messages_model, page_of
from pyserve.api.endpoint import Endpoint
from pyserve.backend.protocol import ModelStatus
from pyserve.errors import CancelledError, InvalidRequestError, UnavailableError
from pyserve.models.patterns import PatternError, compiled
from pyserve.models.routing import not_found
from pyserve.openai.configured.templated import templated
from pyserve.openai.document import examples
from pyserve.openai.document.operation import Operation
from pyserve.openai.server.codex import codex_model
from pyserve.openai.server.models import Model, ModelList, file_object, model_object
from pyserve.openai.tools.formats import AnswerFormat
from pyserve.openai.tools.recognition import format_of
from pyserve.web.answer.model_names import model_names, usable_models
from pyserve.web.request.families import current_family
from pyserve.web.request.replies import json_reply
from pyserve.web.request.services import services

MAX_FILTER_CHARS = 256
ANTHROPIC_VERSION = {"Anthropic-Version": "With it the answer is as in Anthropic's API."}

endpoint = Endpoint("models", tag="Models")


@endpoint.view(
    Operation(
        name="listModels",
        method="get",
        path="/models",
        summary="All served models",
        query={
            "filter": "A regular expression: only models whose id it finds.",
            "excludeConfigured": "false: also the files of models, under their own names.",
            "limit": "With Anthropic-Version: most models of a page; absent: 20.",
            "after_id": "With Anthropic-Version: the page after this model.",
            "before_id": "With Anthropic-Version: the page before it.",
            "client_version": "Codex's version: also the list that Codex reads.",
        },
        headers=ANTHROPIC_VERSION,
        response=ModelList,
        variants=(MessagesModelList,),
        example=lambda: ModelList(data=[examples.model()]),
    )
)
def list_all() -> Response:
    """The served models; the query's `filter` and `excludeConfigured` are LocalAI's."""
    statuses = usable_models()
    if _is_for_anthropic():
        shown = [_messages_model(status) for status in statuses]
        query = {name: request.args.get(name) for name in ("limit", "after_id", "before_id")}
        return json_reply(page_of(shown, **query))
    models = [model_object(status) for status in statuses]
    if request.args.get("excludeConfigured", "true").lower() == "false":
        models += [file for status in statuses if (file := file_object(status)) is not None]
    pattern = request.args.get("filter")
    if pattern:
        models = [model for model in models if _expression(pattern).search(model.id)]
    if "client_version" not in request.args:
        return json_reply(ModelList(data=models))
    return json_reply(
        ModelList(data=models, models=[codex_model(each, i) for i, each in enumerate(statuses)])
    )


@endpoint.view(
    Operation(
        name="retrieveModel",
        method="get",
        path="/models/{model_id}",
        summary="One served model",
        headers=ANTHROPIC_VERSION,
        response=Model,
        variants=(MessagesModel,),
        example=examples.model,
    )
)
def get_one(model_id: str) -> Response:
    status = named_model(model_id)
    if _is_for_anthropic():
        return json_reply(_messages_model(status))
    return json_reply(model_object(status, _answer_format(status)))


def _messages_model(status: ModelStatus) -> MessagesModel:
    return messages_model(status, has_batches=services().config.file_store_mib > 0)


def _is_for_anthropic() -> bool:
    return current_family().errors is ANTHROPIC


def _answer_format(status: ModelStatus) -> AnswerFormat | None:
    """The format of its answers; None while no engine of it is connected."""
    engine = services().backend.engines().get(status.engine_id)
    if engine is None or status.state != "ready":
        return None
    engine = templated(engine, status.profile.prompt)
    try:
        source = engine.info().template_for(has_tools=True)
        return format_of(engine, source, status.profile)
    except (UnavailableError, CancelledError):  # it has ended meanwhile
        return None


def named_model(name: str) -> ModelStatus:
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
