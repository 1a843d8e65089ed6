"""POST /v1/responses"""

from __future__ import annotations

import msgspec
from flask import Blueprint, Response

from pyserve.engine.protocol import Engine
from pyserve.openai.responses.events import ResponsesAnswer
from pyserve.openai.responses.responses import response_conversation
from pyserve.schemas.responses import ResponseRequest
from pyserve.web.answer.generation import generate, generate_stream
from pyserve.web.answer.leasing import configured, profile_of
from pyserve.web.answer.sse import TypedFrames
from pyserve.web.answer.truncation import fitting
from pyserve.web.request.body import read_body

blueprint = Blueprint("responses", __name__)


@blueprint.post("/responses")
@blueprint.post("/engines/<path:model>/responses")
def create(model: str | None = None) -> Response:
    body = configured(read_body(ResponseRequest), model)

    def answer(model_id: str, engine: Engine) -> ResponsesAnswer:
        talk = response_conversation(engine, body, profile_of(model_id))
        n_max = body.max_output_tokens
        cut = fitting(engine, talk.messages, body.truncation, n_max, talk.options)
        if cut is not None:
            talk = msgspec.structs.replace(talk, messages=cut.messages)
        return ResponsesAnswer(body, model_id, engine.info(), talk)

    if body.stream:
        return generate_stream(body.model, model, answer, TypedFrames)
    return generate(body.model, model, answer)
