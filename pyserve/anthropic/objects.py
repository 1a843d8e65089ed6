"""Response objects and events of the Messages API."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from pyserve.openai.structured.validation import SchemaViolation

StopReason = Literal[
    "end_turn", "max_tokens", "stop_sequence", "tool_use", "model_context_window_exceeded"
]


class MessageText(msgspec.Struct, frozen=True, tag_field="type", tag="text"):
    """Text of the answer."""

    text: str


class MessageThinking(msgspec.Struct, frozen=True, tag_field="type", tag="thinking"):
    """The model's thoughts. signature: to be sent back with them."""

    thinking: str
    signature: str


class MessageToolUse(msgspec.Struct, frozen=True, tag_field="type", tag="tool_use"):
    """A call of a tool; its result is sent back with `id`. input: {} if it was cut off."""

    id: str
    name: str
    input: dict[str, Any]


ContentBlock = MessageText | MessageThinking | MessageToolUse


class ThinkingTokens(msgspec.Struct, frozen=True):
    """Details on the output tokens."""

    thinking_tokens: int


class CacheCreation(msgspec.Struct, frozen=True):
    """Tokens written to Anthropic's caches: none, prefixes are kept without being asked for."""

    ephemeral_5m_input_tokens: int = 0
    ephemeral_1h_input_tokens: int = 0


class DeltaUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Token counts. The three of the input add up to the prompt."""

    input_tokens: int
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0
    output_tokens: int
    output_tokens_details: ThinkingTokens = ThinkingTokens(0)


class MessageUsage(DeltaUsage, frozen=True, kw_only=True):
    """Token counts of a message."""

    cache_creation: CacheCreation = CacheCreation()
    service_tier: Literal["standard"] = "standard"


class AnsweredMessage(msgspec.Struct, frozen=True, kw_only=True):
    """The response, not streamed; in the first event of a stream it is empty.

    schema_violation: of an answer that is not as its schema says; not of Anthropic.
    """

    id: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    model: str
    content: list[ContentBlock]
    stop_reason: StopReason | None = None
    stop_sequence: str | None = None
    usage: MessageUsage
    schema_violation: SchemaViolation | UnsetType = UNSET


class MessageStart(msgspec.Struct, frozen=True, kw_only=True):
    """The first event."""

    type: Literal["message_start"] = "message_start"
    message: AnsweredMessage


class Ping(msgspec.Struct, frozen=True, kw_only=True):
    """The stream is alive."""

    type: Literal["ping"] = "ping"


class BlockStart(msgspec.Struct, frozen=True, kw_only=True):
    """A block begins, after the one before it has ended."""

    type: Literal["content_block_start"] = "content_block_start"
    index: int
    content_block: ContentBlock


class MoreText(msgspec.Struct, frozen=True, tag_field="type", tag="text_delta"):
    """More of a text."""

    text: str


class MoreThinking(msgspec.Struct, frozen=True, tag_field="type", tag="thinking_delta"):
    """More of thoughts."""

    thinking: str


class Signature(msgspec.Struct, frozen=True, tag_field="type", tag="signature_delta"):
    """The signature of thoughts, at their end."""

    signature: str


class MoreInput(msgspec.Struct, frozen=True, tag_field="type", tag="input_json_delta"):
    """More of the input of a call, which is JSON once it is whole."""

    partial_json: str


class BlockDelta(msgspec.Struct, frozen=True, kw_only=True):
    """More of a block."""

    type: Literal["content_block_delta"] = "content_block_delta"
    index: int
    delta: MoreText | MoreThinking | Signature | MoreInput


class BlockStop(msgspec.Struct, frozen=True, kw_only=True):
    """A block has ended."""

    type: Literal["content_block_stop"] = "content_block_stop"
    index: int


class Stopped(msgspec.Struct, frozen=True):
    """Why the answer has ended; stop_sequence: the text that ended it.

    schema_violation: as in the message.
    """

    stop_reason: StopReason
    stop_sequence: str | None
    schema_violation: SchemaViolation | UnsetType = UNSET


class MessageDelta(msgspec.Struct, frozen=True, kw_only=True):
    """The end of the answer, with all counts."""

    type: Literal["message_delta"] = "message_delta"
    delta: Stopped
    usage: DeltaUsage


class MessageStop(msgspec.Struct, frozen=True, kw_only=True):
    """The last event."""

    type: Literal["message_stop"] = "message_stop"


MESSAGE_EVENTS = (MessageStart, Ping, BlockStart, BlockDelta, BlockStop, MessageDelta, MessageStop)
