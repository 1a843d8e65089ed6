"""POST /v1/rerank, /v1/reranking, /v2/rerank."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response

from pyserve.api.endpoint import Endpoint
from pyserve.engine.protocol import Engine
from pyserve.openai.document import examples
from pyserve.openai.document.operation import Operation
from pyserve.openai.ranking.prompts import Cut
from pyserve.openai.ranking.rerank import (
    CohereReranking,
    RerankAnswer,
    Reranking,
    TextRank,
    TextRerankAnswer,
    document_cut,
)
from pyserve.openai.ranking.scores import pair_scores
from pyserve.schemas.rerank import RerankRequest, TextRerankRequest
from pyserve.web.answer.generation import generate
from pyserve.web.answer.target import choose_target, unshaped
from pyserve.web.request.body import read_chosen

endpoint = Endpoint("rerank", tag="Text", usecase="rerank")
second = Endpoint("rerank_v2", tag="Text", usecase="rerank", is_below_v1=False)

HOW = (
    "A model with a ranking head scores each document with the query, Qwen3-Reranker by its"
    " template; other models are asked about each document, and the score is the probability of Yes"
    " against No."
)


def _operation(name: str, path: str) -> Operation:
    return Operation(
        name=name,
        method="post",
        path=path,
        summary="Sort documents by how well they answer a query",
        details=f"{HOW} With `texts` in place of `documents` the answer is a list, as TEI's.",
        request=RerankRequest,
        other_requests=(TextRerankRequest,),
        body=examples.RERANK,
        response=Reranking,
        lists=(TextRank,),
        example=examples.rerank,
    )


@endpoint.view(_operation("rerank", "/rerank"), _operation("reranking", "/reranking"))
def create(model: str | None = None) -> Response:
    body = read_chosen(_schema)
    if isinstance(body, RerankRequest):
        return _reranked(body, model, is_cohere=False)
    target = choose_target(body, model)

    def answer(engine: Engine) -> TextRerankAnswer:
        pairs = [(body.query, text) for text in body.texts]
        cut = Cut(to_fit=bool(body.truncate), at_begin=body.cuts_begin)
        scores = pair_scores(engine, pairs, body, cut, param="texts", profile=target.profile)
        return TextRerankAnswer(body, scores)

    return generate(unshaped(target), answer)


@second.view(
    Operation(
        name="rerankV2",
        method="post",
        path="/v2/rerank",
        summary="Sort documents by how well they answer a query, as Cohere's API",
        details=f"{HOW} Documents are cut at max_tokens_per_doc, and where the model cannot read"
        " more of them.",
        request=RerankRequest,
        body=examples.RERANK,
        response=CohereReranking,
        example=examples.cohere_rerank,
    )
)
def create_second() -> Response:
    return _reranked(read_chosen(lambda _data: RerankRequest), None, is_cohere=True)


def _schema(data: Mapping[str, Any]) -> type[RerankRequest] | type[TextRerankRequest]:
    is_list = "texts" in data and data.get("documents") is None
    return TextRerankRequest if is_list else RerankRequest


def _reranked(body: RerankRequest, model: str | None, *, is_cohere: bool) -> Response:
    target = choose_target(body, model)

    def answer(engine: Engine) -> RerankAnswer:
        scores = pair_scores(
            engine,
            [(body.query, text) for text in body.texts],
            body,
            document_cut(body, is_cohere=is_cohere),
            param="documents",
            asks_chat=body.method == "generate",
            profile=target.profile,
        )
        return RerankAnswer(body, target.model_id, scores, is_cohere=is_cohere)

    return generate(unshaped(target), answer)
