"""POST /v1/moderations."""

from __future__ import annotations

import re

from flask import Response

from pyserve.api.endpoint import Endpoint
from pyserve.engine.protocol import Engine
from pyserve.errors import ModelNotFoundError
from pyserve.openai.document import examples
from pyserve.openai.document.operation import Operation
from pyserve.openai.moderation.moderation import HOW_TO_CONFIGURE, ModerationAnswer, Moderations
from pyserve.schemas.moderations import ModerationRequest
from pyserve.web.answer.generation import generate
from pyserve.web.answer.model_names import model_names, usable_models
from pyserve.web.answer.target import choose_target, unshaped
from pyserve.web.request.body import read_body
from pyserve.web.request.services import services

USECASE = "moderation"
endpoint = Endpoint("moderations", tag="Text", usecase=USECASE)
# What OpenAI's clients ask for: the model that is configured for it.
OPENAI_NAMES = re.compile(r"(omni|text)-moderation-")


@endpoint.view(
    Operation(
        name="createModeration",
        method="post",
        path="/moderations",
        summary="Say whether texts are harmful",
        details="A guard model is asked, in the words of its own template; scores are the"
        " probabilities of what it would answer, in OpenAI's categories.",
        request=ModerationRequest,
        body=examples.MODERATION,
        response=Moderations,
        example=examples.moderation,
    )
)
def create(model: str | None = None) -> Response:
    body = read_body(ModerationRequest)
    names = model_names(services().config, usable_models())
    wanted = body.model or model
    if wanted and OPENAI_NAMES.match(wanted) and names.find(wanted) is None:
        wanted = None
    if not wanted and USECASE not in names.defaults and names.only is None:
        raise ModelNotFoundError(f"no guard model is configured: {HOW_TO_CONFIGURE}", param="model")
    target = choose_target(body.model_copy(update={"model": wanted}))

    def answer(engine: Engine) -> ModerationAnswer:
        return ModerationAnswer(body, target.model_id, engine, target.profile)

    return generate(unshaped(target), answer)
