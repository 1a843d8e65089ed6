"""POST /v1/edits."""

from __future__ import annotations

from flask import Blueprint, Response

from pyserve.engine.protocol import Engine
from pyserve.models.templates.prompter import Prompter
from pyserve.openai.configured.defaults import with_defaults
from pyserve.openai.edits import EditAnswer
from pyserve.schemas.edits import EditRequest
from pyserve.web.answer.generation import generate
from pyserve.web.answer.target import choose_target
from pyserve.web.request.body import read_body

blueprint = Blueprint("edits", __name__)


@blueprint.post("/edits")
@blueprint.post("/engines/<path:model>/edits")
def create(model: str | None = None) -> Response:
    body = read_body(EditRequest)
    target = choose_target(body, model)
    body = with_defaults(body, target.profile)

    def answer(engine: Engine) -> EditAnswer:
        prompter = Prompter(target.profile.prompt)
        return EditAnswer(body, target.model_id, engine.info(), prompter)

    return generate(target, answer)
