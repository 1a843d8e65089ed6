"""POST /v1/classify."""

from __future__ import annotations

from functools import partial

from flask import Response

from pyserve.api.endpoint import Endpoint
from pyserve.engine.protocol import Engine
from pyserve.openai.document import examples
from pyserve.openai.document.operation import Operation
from pyserve.openai.prompt_cut import cut_inputs, pooled_cut
from pyserve.openai.ranking.classify import Classified, ClassifyAnswer
from pyserve.schemas.classify import ClassifyRequest
from pyserve.web.answer.generation import generate
from pyserve.web.answer.target import choose_target, unshaped
from pyserve.web.request.body import read_body

endpoint = Endpoint("classify", tag="Text", usecase="rerank")


@endpoint.view(
    Operation(
        name="classify",
        method="post",
        path="/classify",
        summary="Classify texts by the labels of a model's head",
        details="As vLLM has it, for models with a head for classes or ranks.",
        request=ClassifyRequest,
        body=examples.CLASSIFY,
        response=Classified,
        example=examples.classify,
    )
)
def create(model: str | None = None) -> Response:
    body = read_body(ClassifyRequest)
    target = choose_target(body, model)

    def answer(engine: Engine) -> ClassifyAnswer:
        cut = pooled_cut(body, engine.info(), target.n_ctx)
        cut_body = body
        if cut is not None:
            inputs = cut_inputs(engine, body.inputs, cut)
            cut_body = body.model_copy(update={"input": inputs})
        tokenize = partial(engine.tokenize, add_special=True, parse_special=False)
        return ClassifyAnswer(cut_body, target.model_id, engine.info(), tokenize)

    return generate(unshaped(target), answer)
