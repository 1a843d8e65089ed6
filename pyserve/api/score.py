"""POST /v1/score."""

from __future__ import annotations

from flask import Response

from pyserve.api.endpoint import Endpoint
from pyserve.engine.protocol import Engine
from pyserve.openai.document import examples
from pyserve.openai.document.operation import Operation
from pyserve.openai.ranking.prompts import Cut
from pyserve.openai.ranking.score import ScoreAnswer, Scored
from pyserve.openai.ranking.scores import pair_scores
from pyserve.schemas.score import ScoreRequest
from pyserve.web.answer.generation import generate
from pyserve.web.answer.target import choose_target, unshaped
from pyserve.web.request.body import read_body

endpoint = Endpoint("score", tag="Text", usecase="rerank")


@endpoint.view(
    Operation(
        name="score",
        method="post",
        path="/score",
        summary="Score pairs of texts",
        details="As /rerank scores a query and a document: text_1 with each text of text_2, or as"
        " many of both in pairs. The scores come in this order.",
        request=ScoreRequest,
        body=examples.SCORE,
        response=Scored,
        example=examples.score,
    )
)
def create(model: str | None = None) -> Response:
    body = read_body(ScoreRequest)
    target = choose_target(body, model)

    def answer(engine: Engine) -> ScoreAnswer:
        cut = Cut(to_fit=bool(body.truncate), at_begin=body.cuts_begin)
        scores = pair_scores(engine, body.pairs, body, cut, param="text_2", profile=target.profile)
        return ScoreAnswer(body, target.model_id, engine.info(), scores)

    return generate(unshaped(target), answer)
