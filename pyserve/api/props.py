"""GET /props, as in llama-server."""

from __future__ import annotations

from flask import Response

from pyserve.api.endpoint import Endpoint
from pyserve.openai.document import examples
from pyserve.openai.document.operation import Operation
from pyserve.openai.server.models import Props, model_props
from pyserve.web.answer.leasing import ask_engine
from pyserve.web.answer.target import choose_target
from pyserve.web.request.replies import json_reply

endpoint = Endpoint("props", tag="Models")


@endpoint.view(
    Operation(
        name="props",
        method="get",
        path="/props",
        summary="The context and the defaults of a model",
        details="The same as in llama-server.",
        query={"model": "The model, if several are served."},
        response=Props,
        example=lambda: model_props(examples.MODEL, examples.INFO),
        may_be_unavailable=True,
    )
)
def get_props() -> Response:
    target = choose_target()
    info = ask_engine(target, lambda engine: engine.info())
    return json_reply(model_props(target.model_id, info, target.profile))
