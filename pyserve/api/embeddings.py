"""POST /v1/embeddings."""

from __future__ import annotations

from flask import Blueprint, Response

from pyserve.engine.protocol import Engine
from pyserve.openai.embeddings import EmbeddingAnswer
from pyserve.schemas.embeddings import EmbeddingRequest
from pyserve.web.answer.generation import generate
from pyserve.web.answer.target import choose_target
from pyserve.web.request.body import read_body

blueprint = Blueprint("embeddings", __name__)


@blueprint.post("/embeddings")
@blueprint.post("/engines/<path:model>/embeddings")
def create(model: str | None = None) -> Response:
    body = read_body(EmbeddingRequest)
    target = choose_target(body, model)

    def answer(engine: Engine) -> EmbeddingAnswer:
        return EmbeddingAnswer(body, target.model_id, engine.info())

    return generate(target, answer)
