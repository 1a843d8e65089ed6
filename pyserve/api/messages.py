"""POST /v1/messages, /v1/messages/count_tokens: Anthropic's API."""

from __future__ import annotations

from flask import Response

from pyserve.anthropic import examples
from pyserve.anthropic.conversation import (
    begun_tokens,
    count_tokens,
    left_out_tools,
    messages_conversation,
)
from pyserve.anthropic.errors import ANTHROPIC
from pyserve.anthropic.messages import MessagesAnswer
from pyserve.anthropic.objects import MESSAGE_EVENTS, AnsweredMessage
from pyserve.api.endpoint import Endpoint
from pyserve.engine.protocol import Engine
from pyserve.openai.chat.variables import unread_variables
from pyserve.openai.configured.defaults import with_defaults
from pyserve.openai.document.operation import Operation
from pyserve.openai.server.tokens import InputTokens
from pyserve.openai.token_biases import with_token_ids
from pyserve.schemas.anthropic.messages import (
    ConversationFields,
    CountTokensRequest,
    MessagesRequest,
)
from pyserve.web.answer.generation import generate, generate_stream
from pyserve.web.answer.leasing import ask_engine
from pyserve.web.answer.message_frames import MessageFrames
from pyserve.web.answer.target import choose_target
from pyserve.web.request.body import read_body
from pyserve.web.request.left_out import note_left_out
from pyserve.web.request.notes import notes
from pyserve.web.request.replies import json_reply
from pyserve.web.request.services import services

endpoint = Endpoint("messages", tag="Messages", usecase="chat", errors=ANTHROPIC)
tokens = Endpoint("message_tokens", tag="Messages", errors=ANTHROPIC)


@endpoint.view(
    Operation(
        name="createMessage",
        method="post",
        path="/messages",
        summary="Answer a conversation, by Anthropic's Messages API",
        details="Streams are typed events with `event:` lines. Tools that cannot be offered are"
        " named in the header `X-Ignored-Tools`, blocks that are left out in `X-Ignored-Items`.",
        request=MessagesRequest,
        body=examples.MESSAGES,
        response=AnsweredMessage,
        example=lambda: examples.message().plain(),
        event_types=MESSAGE_EVENTS,
        events=lambda: examples.message().streamed(),
    )
)
def create(model: str | None = None) -> Response:
    body = read_body(MessagesRequest)
    target = choose_target(body, model)
    stop_sequences, given = body.stop or [], body
    _checked(body)
    body = with_defaults(body, target.profile)
    noted = notes()

    def answer(engine: Engine) -> MessagesAnswer:
        conversation = messages_conversation(engine, body, target.profile)
        noted.ignored += unread_variables(given, engine.info(), target.profile)
        prompt = begun_tokens(engine, body, conversation)
        info = engine.info()
        biased = with_token_ids(body, engine)
        made = MessagesAnswer(biased, target.model_id, info, conversation, stop_sequences, prompt)
        noted.unenforced = made.unenforced
        return made

    if body.stream:
        return generate_stream(target, answer, MessageFrames)
    return generate(target, answer)


@tokens.view(
    Operation(
        name="countMessageTokens",
        method="post",
        path="/messages/count_tokens",
        summary="Count the tokens of a conversation's prompt, by Anthropic's Messages API",
        details="Takes the body of `/v1/messages`; only fields that change the prompt matter.",
        request=CountTokensRequest,
        body=examples.COUNTED,
        response=InputTokens,
        example=lambda: InputTokens(24),
        asks_model=True,
    )
)
def count() -> Response:
    body = read_body(CountTokensRequest)
    target = choose_target(body)
    _checked(body)
    body = with_defaults(body, target.profile)

    def answer(engine: Engine) -> InputTokens:
        return InputTokens(count_tokens(engine, body, target.profile))

    return json_reply(ask_engine(target, answer))


def _checked(body: ConversationFields) -> None:
    """Tell what the model does not see; `--strict-tools` refuses tools of that kind."""
    tools = left_out_tools(body, is_strict=services().config.strict_tools)
    note_left_out(tools, body.foreign_blocks)
