"""POST /v1/rerank, /v1/reranking, /v2/rerank."""

from __future__ import annotations

from flask import Response

from pyserve.api.endpoint import Endpoint
from pyserve.engine.protocol import Engine
from pyserve.openai.document import examples
from pyserve.openai.document.operation import Operation
from pyserve.openai.rerank import RerankAnswer, Reranking, rerank_prompts
from pyserve.schemas.rerank import RerankRequest
from pyserve.web.answer.generation import generate
from pyserve.web.answer.target import choose_target, unshaped
from pyserve.web.request.body import read_body

endpoint = Endpoint("rerank", tag="Text", usecase="chat")
second = Endpoint("rerank_v2", tag="Text", usecase="chat", is_below_v1=False)


def _operation(name: str, path: str) -> Operation:
    return Operation(
        name=name,
        method="post",
        path=path,
        summary="Sort documents by how well they answer a query",
        details="A chat model is asked about each document; the score is the probability of Yes"
        " against No.",
        request=RerankRequest,
        body=examples.RERANK,
        response=Reranking,
        example=examples.rerank,
    )


@second.view(_operation("rerankV2", "/v2/rerank"))
@endpoint.view(_operation("rerank", "/rerank"), _operation("reranking", "/reranking"))
def create(model: str | None = None) -> Response:
    body = read_body(RerankRequest)
    target = choose_target(body, model)

    def answer(engine: Engine) -> RerankAnswer:
        prompts, answers = rerank_prompts(engine, body, target.profile)
        return RerankAnswer(body, target.model_id, engine.info(), prompts, answers)

    return generate(unshaped(target), answer)
