"""Response objects of the Responses API."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from pyserve.openai.logprobs import ChatTokenLogprob
from pyserve.openai.reports import AnswerTimings
from pyserve.openai.structured.validation import SchemaViolation

Status = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
ItemStatus = Literal["in_progress", "completed", "incomplete"]
Phase = Literal["commentary", "final_answer"]
Summary = Literal["auto", "concise", "detailed"]
ErrorCode = Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]


class OutputText(msgspec.Struct, frozen=True):
    """The content of a message."""

    text: str
    logprobs: list[ChatTokenLogprob] = []
    annotations: list[Any] = []
    type: Literal["output_text"] = "output_text"


class OutputMessage(msgspec.Struct, frozen=True, tag_field="type", tag="message"):
    """The assistant's turn, an output item. phase: once it is done, whether a call follows it."""

    id: str
    status: ItemStatus
    content: list[OutputText]
    phase: Phase | UnsetType = UNSET
    role: Literal["assistant"] = "assistant"


class FunctionCall(msgspec.Struct, frozen=True, tag_field="type", tag="function_call"):
    """A function call, an output item; its output is sent back with `call_id`."""

    id: str
    call_id: str
    name: str
    arguments: str
    status: ItemStatus
    namespace: str | UnsetType = UNSET


class CustomToolCall(msgspec.Struct, frozen=True, tag_field="type", tag="custom_tool_call"):
    """A call of a custom tool, an output item."""

    id: str
    call_id: str
    name: str
    input: str
    status: ItemStatus
    namespace: str | UnsetType = UNSET


class ReasoningText(msgspec.Struct, frozen=True):
    """Reasoning as the model wrote it."""

    text: str
    type: Literal["reasoning_text"] = "reasoning_text"


class SummaryText(msgspec.Struct, frozen=True):
    """Reasoning, given as its summary because the request wanted one."""

    text: str
    type: Literal["summary_text"] = "summary_text"


class ReasoningItem(msgspec.Struct, frozen=True, tag_field="type", tag="reasoning"):
    """The model's reasoning before the answer, an output item: whole, in one of the two lists.

    encrypted_content: the same, if it was asked for, in a form to be sent back.
    """

    id: str
    status: ItemStatus
    content: list[ReasoningText] = []
    summary: list[SummaryText] = []
    encrypted_content: str | UnsetType = UNSET


class CompactionItem(msgspec.Struct, frozen=True, tag_field="type", tag="compaction"):
    """What all items before it have become, in a form to be sent back in their place."""

    id: str
    encrypted_content: str


OutputItem = OutputMessage | FunctionCall | CustomToolCall | ReasoningItem | CompactionItem


class InputTokensDetails(msgspec.Struct, frozen=True):
    """Details on the input tokens. Cache writes are not counted."""

    cached_tokens: int
    cache_write_tokens: int = 0


class OutputTokensDetails(msgspec.Struct, frozen=True):
    """Details on the output tokens."""

    reasoning_tokens: int = 0


class ResponseUsage(msgspec.Struct, frozen=True):
    """Token counts."""

    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class ResponseError(msgspec.Struct, frozen=True):
    """The error of a failed response; `code` is of OpenAI's list, `type` and `message` say more."""

    code: ErrorCode
    message: str
    type: str
    param: str | None = None


class IncompleteDetails(msgspec.Struct, frozen=True):
    """The reason why a response is incomplete."""

    reason: Literal["max_output_tokens"] = "max_output_tokens"


class ReasoningSettings(msgspec.Struct, frozen=True):
    """The reasoning settings of the request."""

    effort: str | None = None
    summary: Summary | None = None


class TextFormat(msgspec.Struct, frozen=True, kw_only=True):
    """The format that the answer was constrained to; all but the type for a schema only."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    name: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    schema: dict[str, Any] | UnsetType = UNSET
    strict: bool | UnsetType | None = UNSET


class TextSettings(msgspec.Struct, frozen=True):
    """The text settings of the request."""

    format: TextFormat = TextFormat()
    verbosity: Literal["low", "medium", "high"] = "medium"


class ConversationId(msgspec.Struct, frozen=True):
    """The conversation that a response belongs to."""

    id: str


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """The response object, whole or as far as it has come. Times are Unix seconds.

    The second half repeats the request, with the values that were really used.
    """

    id: str
    object: Literal["response"] = "response"
    created_at: int
    completed_at: int | None = None
    status: Status = "in_progress"
    background: bool = False
    error: ResponseError | None = None
    incomplete_details: IncompleteDetails | None = None
    model: str
    output: list[OutputItem] = []
    usage: ResponseUsage | None = None
    schema_violation: SchemaViolation | UnsetType = UNSET
    timings: AnswerTimings | UnsetType = UNSET
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    metadata: dict[str, str]
    parallel_tool_calls: bool
    previous_response_id: str | None = None
    conversation: ConversationId | None = None
    prompt_cache_key: str | None
    reasoning: ReasoningSettings = ReasoningSettings()
    safety_identifier: str | None
    service_tier: str = "default"
    store: bool = False
    temperature: float
    text: TextSettings = TextSettings()
    tool_choice: str | dict[str, Any]
    tools: list[dict[str, Any]] = []
    top_logprobs: int
    top_p: float
    truncation: str
    user: str | None
    presence_penalty: float
    frequency_penalty: float
