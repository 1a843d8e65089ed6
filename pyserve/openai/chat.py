"""Chat completions: request to engine requests, deltas to response or chunks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from pyserve.engine.protocol import (
    Delta,
    FinishReason,
    GenerateRequest,
    ModelInfo,
    TokenLogprob,
)
from pyserve.openai.answer import Output, StreamUsage, TokenUsage, new_head, token_usage
from pyserve.openai.continuation import continued_stops
from pyserve.openai.logprobs import ChatLogprobs, chat_logprobs
from pyserve.openai.sampling import base_request, expand
from pyserve.openai.scheduling import scheduling
from pyserve.openai.structured.constraint import grammar_of
from pyserve.openai.truncation import Cut
from pyserve.schemas.chat import ChatRequest, Message

TEMPLATE_ROLES = {"developer": "system", "function": "tool"}


class ChatMessage(msgspec.Struct, frozen=True, kw_only=True):
    """The assistant's turn."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: None = None
    annotations: list[Any] = []


class ChatChoice(msgspec.Struct, frozen=True):
    """One of the n answers."""

    index: int
    message: ChatMessage
    logprobs: ChatLogprobs | None
    finish_reason: FinishReason


class Truncation(msgspec.Struct, frozen=True):
    """What was left out, when the request has `truncation` auto."""

    dropped_messages: int
    dropped_tokens: int


class ChatCompletion(msgspec.Struct, frozen=True, kw_only=True):
    """The plain response."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChatChoice]
    usage: TokenUsage
    service_tier: str = "default"
    truncation: Truncation | UnsetType = UNSET


class ChatDelta(msgspec.Struct, frozen=True):
    """What a chunk adds to the message; nothing in the last one."""

    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType = UNSET


class ChatChunkChoice(msgspec.Struct, frozen=True):
    """A chunk's part of one of the n answers."""

    index: int
    delta: ChatDelta
    logprobs: ChatLogprobs | None = None
    finish_reason: FinishReason | None = None


class ChatChunk(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a streamed response."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChatChunkChoice]
    usage: TokenUsage | UnsetType | None = UNSET


class ChatAnswer:
    """Implements `StreamAnswer` for a chat request.

    cut: what is left of its messages. tokens: the prompt, if it is not made of messages.
    """

    prompt_param = "messages"

    def __init__(
        self,
        body: ChatRequest,
        model: str,
        info: ModelInfo,
        cut: Cut | None = None,
        tokens: list[int] | None = None,
    ) -> None:
        self._n = body.n or 1
        self._wants_logprobs = bool(body.logprobs)
        self._head = msgspec.structs.asdict(new_head("chatcmpl", model, info))
        self._usage = StreamUsage(body.include_usage, self._n, self._n)
        self.requests = chat_requests(body, info, cut, tokens)
        self._truncation = (
            UNSET if cut is None else Truncation(cut.dropped_messages, cut.dropped_tokens)
        )

    def response(self, outputs: Sequence[Output]) -> ChatCompletion:
        choices = [
            ChatChoice(
                index=index,
                message=ChatMessage(content=output.text),
                logprobs=self._logprobs(output.logprobs),
                finish_reason=output.finish.reason,
            )
            for index, output in enumerate(outputs)
        ]
        usage = token_usage([output.finish for output in outputs], self._n)
        return ChatCompletion(
            **self._head, choices=choices, usage=usage, truncation=self._truncation
        )

    def open(self) -> list[msgspec.Struct]:
        first = ChatDelta(role="assistant", content="")
        return [self._chunk(ChatChunkChoice(index, first)) for index in range(self._n)]

    def push(self, index: int, delta: Delta) -> list[msgspec.Struct]:
        self._usage.push(index, delta)
        chunks: list[msgspec.Struct] = []
        if delta.text or delta.logprobs:
            logprobs = self._logprobs(delta.logprobs or [])
            said = ChatDelta(content=delta.text)
            chunks.append(self._chunk(ChatChunkChoice(index, said, logprobs)))
        if delta.finish is not None:
            last = ChatChunkChoice(index, ChatDelta(), finish_reason=delta.finish.reason)
            chunks.append(self._chunk(last))
        return chunks

    def text_chunk(self, index: int, text: str) -> ChatChunk | None:
        if self._wants_logprobs:
            return None
        return self._chunk(ChatChunkChoice(index, ChatDelta(content=text)))

    def close(self) -> list[msgspec.Struct]:
        usage = self._usage.at_end()
        return [] if usage is None else [ChatChunk(**self._head, choices=[], usage=usage)]

    def _chunk(self, choice: ChatChunkChoice) -> ChatChunk:
        return ChatChunk(**self._head, choices=[choice], usage=self._usage.before_end)

    def _logprobs(self, tokens: Sequence[TokenLogprob]) -> ChatLogprobs | None:
        return chat_logprobs(tokens) if self._wants_logprobs else None


def chat_requests(
    body: ChatRequest,
    info: ModelInfo,
    cut: Cut | None = None,
    tokens: list[int] | None = None,
) -> list[GenerateRequest]:
    """The n engine requests of a chat request; `cut` and `tokens` as of `ChatAnswer`.

    Raises InvalidRequestError for a logit_bias on a token that the model does not have, and for a
    constraint that cannot be enforced.
    """
    messages = template_messages(body) if cut is None else cut.messages
    request = base_request(
        body,
        info,
        **scheduling(body),
        grammar=grammar_of(body),
        messages=messages if tokens is None else None,
        tokens=tokens,
        max_tokens=body.n_max_tokens,
        n_logprobs=(body.top_logprobs or 0) if body.logprobs else None,
    )
    if tokens is not None:
        stop = [*request.stop, *continued_stops(info)]
        request = msgspec.structs.replace(request, stop=stop)
    return expand(request, body.n or 1)


def template_messages(body: ChatRequest) -> list[dict[str, Any]]:
    """The conversation as chat templates know it."""
    return [template_message(message) for message in body.messages]


def template_message(message: Message) -> dict[str, Any]:
    """The message as chat templates know it: plain text, role `system` for `developer`."""
    role = TEMPLATE_ROLES.get(message.role, message.role)
    plain: dict[str, Any] = {"role": role, "content": message.text}
    if message.name is not None:
        plain["name"] = message.name
    if message.tool_call_id is not None:
        plain["tool_call_id"] = message.tool_call_id
    calls = [call.model_dump(exclude_none=True) for call in message.tool_calls or []]
    if message.function_call is not None:
        calls.append({"type": "function", "function": message.function_call.model_dump()})
    if calls:
        plain["tool_calls"] = calls
    return plain
