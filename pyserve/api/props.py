"""GET /props, as in llama-server."""

from __future__ import annotations

from flask import Response

from pyserve.api.endpoint import Endpoint
from pyserve.engine.protocol import Engine
from pyserve.openai.document import examples
from pyserve.openai.document.operation import Operation
from pyserve.openai.server.props import Props, model_props
from pyserve.openai.tools.recognition import format_of
from pyserve.web.answer.leasing import LOOK_QUERY, look_at_engine
from pyserve.web.answer.model_names import served_models
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
        query=LOOK_QUERY,
        response=Props,
        example=lambda: model_props(examples.MODEL, "model.gguf", examples.INFO, examples.FORM),
        asks_model=True,
    )
)
def get_props() -> Response:
    target = choose_target()
    path = next(each.model_path for each in served_models() if each.id == target.engine_id)

    def answer(engine: Engine) -> Props:
        info = engine.info()
        form = format_of(engine, info.template_for(has_tools=True), target.profile)
        return model_props(target.model_id, path, info, form, target.profile)

    return json_reply(look_at_engine(target, answer))


endpoint.not_built("changeProps", "/props", "change what a model is loaded with")
