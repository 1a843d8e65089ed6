"""POST /v1/choose."""

from __future__ import annotations

from flask import Response

from pyserve.api.endpoint import Endpoint
from pyserve.engine.protocol import Engine
from pyserve.openai.choose import ChooseAnswer, Chosen, choose_prompt
from pyserve.openai.document import examples
from pyserve.openai.document.operation import Operation
from pyserve.schemas.choose import ChooseRequest
from pyserve.web.answer.generation import generate
from pyserve.web.answer.target import choose_target, unshaped
from pyserve.web.request.body import read_body
from pyserve.web.request.services import services

endpoint = Endpoint("choose", tag="Text", usecase="chat")


@endpoint.view(
    Operation(
        name="choose",
        method="post",
        path="/choose",
        summary="Say how probable each of several texts is as the answer",
        details="Nothing is sampled: the prompt is computed once, and the log-probability of each"
        " choice after it is told.",
        request=ChooseRequest,
        body=examples.CHOOSE,
        response=Chosen,
        example=examples.choose,
    )
)
def create(model: str | None = None) -> Response:
    body = read_body(ChooseRequest)
    target = choose_target(body, model)
    parse_special = services().config.parse_special

    def answer(engine: Engine) -> ChooseAnswer:
        prompt, texts = choose_prompt(
            engine, body, parse_special=parse_special, profile=target.profile
        )
        return ChooseAnswer(body, target.model_id, engine.info(), prompt, texts)

    return generate(unshaped(target), answer)
