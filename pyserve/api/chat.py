"""POST /v1/chat/completions."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Response

from pyserve.api.endpoint import Endpoint
from pyserve.engine.protocol import Engine
from pyserve.openai.answer import Steps
from pyserve.openai.chat.chat import ChatAnswer, chat_conversation, template_messages
from pyserve.openai.chat.conversation import Conversation
from pyserve.openai.chat.objects import ChatChunk, ChatCompletion
from pyserve.openai.chat.prompt_tokens import own_tokens
from pyserve.openai.chat.variables import unread_variables
from pyserve.openai.configured.defaults import with_defaults
from pyserve.openai.document import examples
from pyserve.openai.document.operation import Operation
from pyserve.openai.token_biases import with_token_ids
from pyserve.schemas.chat import ChatRequest
from pyserve.web.answer.compaction import shortened
from pyserve.web.answer.generation import generate, generate_stream
from pyserve.web.answer.reports import with_reports
from pyserve.web.answer.target import choose_target
from pyserve.web.answer.truncation import fitting
from pyserve.web.request.body import read_body
from pyserve.web.request.notes import notes

endpoint = Endpoint("chat", tag="Text", usecase="chat")


@endpoint.view(
    Operation(
        name="createChatCompletion",
        method="post",
        path="/chat/completions",
        summary="Answer a conversation",
        details="The prompt is made by the model's chat template. Streams end with `data: [DONE]`.",
        request=ChatRequest,
        body=examples.CHAT,
        response=ChatCompletion,
        example=lambda: examples.chat().plain(),
        event_types=(ChatChunk,),
        events=lambda: examples.chat().streamed(),
    )
)
def create(model: str | None = None) -> Response:
    body = read_body(ChatRequest)
    target = choose_target(body, model)
    given, body = body, with_reports(with_defaults(body, target.profile))

    noted = notes()

    def answer(engine: Engine) -> Steps[ChatAnswer]:
        def converse(messages: list[dict[str, Any]]) -> Conversation:
            return chat_conversation(engine, body, target.profile, messages)

        messages = template_messages(body)
        shorter = yield from shortened(engine, messages, converse, body, target, noted)
        conversation = converse(messages if shorter is None else shorter.messages)
        noted.ignored += unread_variables(given, engine.info(), target.profile)
        cut = fitting(engine, conversation, body, noted)
        if cut is not None:
            conversation = msgspec.structs.replace(conversation, messages=cut.messages)
        tokens = own_tokens(engine, body, conversation)
        biased = with_token_ids(body, engine)
        before = () if shorter is None else shorter.finishes
        made = ChatAnswer(biased, target.model_id, engine.info(), conversation, cut, tokens, before)
        noted.unenforced = made.unenforced
        return made

    if not body.stream:
        return generate(target, answer)
    progress = ChatAnswer.progress if body.return_progress else None
    return generate_stream(
        target,
        answer,
        ping_s=body.sse_ping_interval,
        progress=progress,
        may_begin_late=body.compacts,
    )
