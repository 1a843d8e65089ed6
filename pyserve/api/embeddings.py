"""POST /v1/embeddings."""

from __future__ import annotations

from flask import Response

from pyserve.api.endpoint import Endpoint
from pyserve.engine.protocol import Engine
from pyserve.openai.document import examples
from pyserve.openai.document.operation import Operation
from pyserve.openai.embeddings import EmbeddingAnswer, Embeddings
from pyserve.schemas.embeddings import EmbeddingRequest
from pyserve.web.answer.generation import generate
from pyserve.web.answer.target import choose_target
from pyserve.web.request.body import read_body

endpoint = Endpoint("embeddings", tag="Text", usecase="embeddings")


@endpoint.view(
    Operation(
        name="createEmbedding",
        method="post",
        path="/embeddings",
        summary="Embed texts as vectors",
        details="Pooled as the model file says, else by the mean of all tokens; normalized.",
        request=EmbeddingRequest,
        body=examples.EMBEDDING,
        response=Embeddings,
        example=lambda: examples.embedding().plain(),
    )
)
def create(model: str | None = None) -> Response:
    body = read_body(EmbeddingRequest)
    target = choose_target(body, model)

    def answer(engine: Engine) -> EmbeddingAnswer:
        return EmbeddingAnswer(body, target.model_id, engine.info())

    return generate(target, answer)
