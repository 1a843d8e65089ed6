"""POST /v1/completions"""

from __future__ import annotations

from flask import Blueprint, Response

from pyserve.engine.protocol import Engine
from pyserve.openai.completions.completions import CompletionAnswer
from pyserve.openai.completions.infill import infill_prompts
from pyserve.openai.configured.templated import templated_completion
from pyserve.schemas.completions import CompletionRequest
from pyserve.web.answer.generation import generate, generate_stream
from pyserve.web.answer.leasing import configured, profile_of
from pyserve.web.request.body import read_body

blueprint = Blueprint("completions", __name__)


@blueprint.post("/completions")
@blueprint.post("/engines/<path:model>/completions")
def create(model: str | None = None) -> Response:
    body = configured(read_body(CompletionRequest), model)

    def answer(model_id: str, engine: Engine) -> CompletionAnswer:
        info, prompts = engine.info(), None
        if body.suffix:
            prompts = infill_prompts(body.prompts, body.suffix, info, engine.tokenize)
        told = templated_completion(body, profile_of(model_id).prompt)
        return CompletionAnswer(told, model_id, info, engine.detokenize, prompts)

    run = generate_stream if body.stream else generate
    return run(body.model, model, answer)
