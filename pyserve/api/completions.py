"""POST /v1/completions"""

from __future__ import annotations

from flask import Blueprint, Response

from pyserve.engine.protocol import Engine
from pyserve.openai.completions import CompletionAnswer
from pyserve.schemas.completions import CompletionRequest
from pyserve.web.body import read_body
from pyserve.web.generation import generate, generate_stream

blueprint = Blueprint("completions", __name__)


@blueprint.post("/completions")
@blueprint.post("/engines/<path:model>/completions")
def create(model: str | None = None) -> Response:
    body = read_body(CompletionRequest)

    def answer(model_id: str, engine: Engine) -> CompletionAnswer:
        return CompletionAnswer(body, model_id, engine.info(), engine.detokenize)

    run = generate_stream if body.stream else generate
    return run(body.model, model, answer)
