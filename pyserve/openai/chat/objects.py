"""Response objects of chat completions."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from pyserve.openai.answer import TokenUsage
from pyserve.openai.logprobs import ChatLogprobs, PromptLogprobs
from pyserve.openai.reports import AnswerTimings, PromptProgress
from pyserve.openai.structured.validation import SchemaViolation

ChatFinishReason = Literal["stop", "length", "tool_calls", "function_call"]


class CalledFunction(msgspec.Struct, frozen=True):
    """The function called. arguments: JSON as the model wrote it."""

    name: str
    arguments: str


class MessageToolCall(msgspec.Struct, frozen=True, tag_field="type", tag="function"):
    """A tool call; its result is sent back with `id`."""

    id: str
    function: CalledFunction


class CalledCustom(msgspec.Struct, frozen=True):
    """The custom tool called. input: its text."""

    name: str
    input: str


class MessageCustomCall(msgspec.Struct, frozen=True, tag_field="type", tag="custom"):
    """A call of a custom tool."""

    id: str
    custom: CalledCustom


class ChatMessage(msgspec.Struct, frozen=True, kw_only=True):
    """The assistant's turn. Its reasoning is there under both names that clients know."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: None = None
    annotations: list[Any] = []
    reasoning_content: str | UnsetType = UNSET
    reasoning: str | UnsetType = UNSET
    tool_calls: list[MessageToolCall | MessageCustomCall] | UnsetType = UNSET
    function_call: CalledFunction | UnsetType = UNSET


class ChatChoice(msgspec.Struct, frozen=True):
    """One of the n answers.

    stop_reason: the stop string or token that ended it.
    """

    index: int
    message: ChatMessage
    logprobs: ChatLogprobs | None
    finish_reason: ChatFinishReason
    stop_reason: str | int | None = None
    schema_violation: SchemaViolation | UnsetType = UNSET
    tokens: list[int] | UnsetType = UNSET
    token_ids: list[int] | UnsetType = UNSET


class Truncation(msgspec.Struct, frozen=True):
    """The number of messages and tokens that `truncation: "auto"` left out."""

    dropped_messages: int
    dropped_tokens: int


class ChatCompletion(msgspec.Struct, frozen=True, kw_only=True):
    """The response, not streamed. metadata: that of the request."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChatChoice]
    usage: TokenUsage
    service_tier: str = "default"
    metadata: dict[str, str] | UnsetType = UNSET
    truncation: Truncation | UnsetType = UNSET
    timings: AnswerTimings | UnsetType = UNSET
    prompt_token_ids: list[int] | UnsetType = UNSET
    prompt_logprobs: PromptLogprobs | UnsetType = UNSET


class FunctionDelta(msgspec.Struct, frozen=True):
    """A piece of a tool call: its name once, its arguments in pieces."""

    arguments: str
    name: str | UnsetType = UNSET


class CustomDelta(msgspec.Struct, frozen=True):
    """A piece of a call of a custom tool: its name once, its text in pieces."""

    input: str
    name: str | UnsetType = UNSET


class ToolCallDelta(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of tool call `index`; id and type come with its first delta."""

    index: int
    id: str | UnsetType = UNSET
    type: Literal["function", "custom"] | UnsetType = UNSET
    function: FunctionDelta | UnsetType = UNSET
    custom: CustomDelta | UnsetType = UNSET


class ChatDelta(msgspec.Struct, frozen=True):
    """A chunk's addition to the message; empty in the last one."""

    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType | None = UNSET
    reasoning_content: str | UnsetType = UNSET
    reasoning: str | UnsetType = UNSET
    tool_calls: list[ToolCallDelta] | UnsetType = UNSET
    function_call: FunctionDelta | UnsetType = UNSET


class ChatChunkChoice(msgspec.Struct, frozen=True):
    """A chunk's part of one of the n answers; stop_reason, of `ChatChoice`, is in its last one."""

    index: int
    delta: ChatDelta
    logprobs: ChatLogprobs | None = None
    finish_reason: ChatFinishReason | None = None
    stop_reason: str | int | UnsetType | None = UNSET
    schema_violation: SchemaViolation | UnsetType = UNSET
    tokens: list[int] | UnsetType = UNSET
    token_ids: list[int] | UnsetType = UNSET


class ChatChunk(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a streamed response. service_tier: where the request has one."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChatChunkChoice]
    usage: TokenUsage | UnsetType | None = UNSET
    service_tier: str | UnsetType = UNSET
    prompt_progress: PromptProgress | UnsetType = UNSET
    timings: AnswerTimings | UnsetType = UNSET
    prompt_token_ids: list[int] | UnsetType = UNSET
