"""POST /v1/edits."""

from __future__ import annotations

from flask import Response

from pyserve.api.endpoint import Endpoint
from pyserve.engine.protocol import Engine
from pyserve.models.templates.prompter import Prompter
from pyserve.openai.configured.defaults import with_defaults
from pyserve.openai.document import examples
from pyserve.openai.document.operation import Operation
from pyserve.openai.edits import Edit, EditAnswer
from pyserve.openai.token_biases import with_token_ids
from pyserve.schemas.edits import EditRequest
from pyserve.web.answer.generation import generate
from pyserve.web.answer.target import choose_target
from pyserve.web.request.body import read_body
from pyserve.web.request.notes import notes

endpoint = Endpoint("edits", tag="Text", usecase="edit")


@endpoint.view(
    Operation(
        name="createEdit",
        method="post",
        path="/edits",
        summary="Edit a text by an instruction",
        request=EditRequest,
        body=examples.EDIT,
        response=Edit,
        example=lambda: examples.edit().plain(),
    )
)
def create(model: str | None = None) -> Response:
    body = read_body(EditRequest)
    target = choose_target(body, model)
    body = with_defaults(body, target.profile)

    noted = notes()

    def answer(engine: Engine) -> EditAnswer:
        prompter = Prompter(target.profile.prompt)
        biased = with_token_ids(body, engine)
        made = EditAnswer(biased, target.model_id, engine.info(), prompter)
        noted.unenforced = made.unenforced
        return made

    return generate(target, answer)
