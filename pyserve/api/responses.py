"""POST /v1/responses."""

from __future__ import annotations

import msgspec
from flask import Response

from pyserve.api.endpoint import Endpoint
from pyserve.engine.protocol import Engine
from pyserve.openai.chat.variables import unread_variables
from pyserve.openai.configured.defaults import with_defaults
from pyserve.openai.document import examples
from pyserve.openai.document.operation import Operation
from pyserve.openai.responses.events import (
    ArgumentsDelta,
    ArgumentsDone,
    ItemEvent,
    PartEvent,
    ResponseEvent,
    ResponsesAnswer,
    TextDelta,
    TextDone,
)
from pyserve.openai.responses.objects import Response as ResponseObject
from pyserve.openai.responses.responses import response_conversation
from pyserve.schemas.responses import ResponseRequest
from pyserve.web.answer.generation import generate, generate_stream
from pyserve.web.answer.sse import TypedFrames
from pyserve.web.answer.target import choose_target
from pyserve.web.answer.truncation import fitting
from pyserve.web.request.body import read_body
from pyserve.web.request.notes import notes

endpoint = Endpoint("responses", tag="Text", usecase="chat")


@endpoint.view(
    Operation(
        name="createResponse",
        method="post",
        path="/responses",
        summary="Answer a conversation, by the Responses API",
        details="Nothing is stored. Streams are typed events with `event:` lines, and no `[DONE]`.",
        request=ResponseRequest,
        body=examples.RESPONSE,
        response=ResponseObject,
        example=lambda: examples.response().plain(),
        event_types=(
            ResponseEvent,
            ItemEvent,
            PartEvent,
            TextDelta,
            TextDone,
            ArgumentsDelta,
            ArgumentsDone,
        ),
        events=lambda: examples.response().streamed(),
    )
)
def create(model: str | None = None) -> Response:
    body = read_body(ResponseRequest)
    target = choose_target(body, model)
    given = body.chat_template_kwargs or {}
    body = with_defaults(body, target.profile)

    noted = notes()

    def answer(engine: Engine) -> ResponsesAnswer:
        conversation = response_conversation(engine, body, target.profile)
        noted.ignored += unread_variables(given, engine.info())
        cut = fitting(engine, conversation, body, noted)
        if cut is not None:
            conversation = msgspec.structs.replace(conversation, messages=cut.messages)
        return ResponsesAnswer(body, target.model_id, engine.info(), conversation)

    if body.stream:
        return generate_stream(target, answer, TypedFrames)
    return generate(target, answer)
