"""POST /v1/edits"""

from __future__ import annotations

from flask import Blueprint, Response

from pyserve.engine.protocol import Engine
from pyserve.models.templates.prompter import Prompter
from pyserve.openai.edits import EditAnswer
from pyserve.schemas.edits import EditRequest
from pyserve.web.answer.generation import generate
from pyserve.web.answer.leasing import configured, profile_of
from pyserve.web.request.body import read_body

blueprint = Blueprint("edits", __name__)


@blueprint.post("/edits")
@blueprint.post("/engines/<path:model>/edits")
def create(model: str | None = None) -> Response:
    body = configured(read_body(EditRequest), model)

    def answer(model_id: str, engine: Engine) -> EditAnswer:
        prompter = Prompter(profile_of(model_id).prompt)
        return EditAnswer(body, model_id, engine.info(), prompter)

    return generate(body.model, model, answer)
