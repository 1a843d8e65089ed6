"""POST /v1/chat/completions"""

from __future__ import annotations

import msgspec
from flask import Blueprint, Response

from pyserve.engine.protocol import Engine
from pyserve.openai.chat.chat import ChatAnswer, chat_conversation
from pyserve.openai.chat.continuation import continued_tokens
from pyserve.schemas.chat import ChatRequest
from pyserve.web.answer.generation import generate, generate_stream
from pyserve.web.answer.leasing import configured, profile_of
from pyserve.web.answer.truncation import fitting
from pyserve.web.request.body import read_body

blueprint = Blueprint("chat", __name__)


@blueprint.post("/chat/completions")
@blueprint.post("/engines/<path:model>/chat/completions")
def create(model: str | None = None) -> Response:
    body = configured(read_body(ChatRequest), model)

    def answer(model_id: str, engine: Engine) -> ChatAnswer:
        talk = chat_conversation(engine, body, profile_of(model_id))
        cut = fitting(engine, talk.messages, body.truncation, body.n_max_tokens, talk.options)
        if cut is not None:
            talk = msgspec.structs.replace(talk, messages=cut.messages)
        tokens = None
        if body.continue_final_message:
            tokens = continued_tokens(engine, talk.messages, talk.options)
        return ChatAnswer(body, model_id, engine.info(), talk, cut, tokens)

    run = generate_stream if body.stream else generate
    return run(body.model, model, answer)
