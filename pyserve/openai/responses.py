"""The objects of the Responses API, and how they are made of a request and an output."""

from __future__ import annotations

import time
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from pyserve.engine.protocol import Finish, GenerateRequest, ModelInfo
from pyserve.openai.answer import Output
from pyserve.openai.ids import new_item_id
from pyserve.openai.logprobs import ChatTokenLogprob, chat_logprobs
from pyserve.openai.sampling import base_request
from pyserve.openai.scheduling import scheduling
from pyserve.openai.structured.constraint import text_format_grammar
from pyserve.openai.truncation import Cut
from pyserve.schemas.responses import ResponseRequest

Status = Literal["in_progress", "completed", "incomplete", "failed"]


class OutputText(msgspec.Struct, frozen=True):
    """The only kind of content that an answer has."""

    text: str
    logprobs: list[ChatTokenLogprob] = []
    annotations: list[Any] = []
    type: Literal["output_text"] = "output_text"


class OutputMessage(msgspec.Struct, frozen=True):
    """The assistant's turn, an output item."""

    id: str
    status: Literal["in_progress", "completed", "incomplete"]
    content: list[OutputText]
    role: Literal["assistant"] = "assistant"
    type: Literal["message"] = "message"


class InputTokensDetails(msgspec.Struct, frozen=True):
    """Of the input tokens. Computed prefixes are kept as memory allows, which is no write."""

    cached_tokens: int
    cache_write_tokens: int = 0


class OutputTokensDetails(msgspec.Struct, frozen=True):
    """Of the output tokens."""

    reasoning_tokens: int = 0


class ResponseUsage(msgspec.Struct, frozen=True):
    """Token counts."""

    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class ResponseError(msgspec.Struct, frozen=True):
    """Why a streamed response failed; `code` is of OpenAI's list, `type` and `message` say more."""

    message: str
    type: str
    param: str | None = None
    code: Literal["server_error"] = "server_error"


class IncompleteDetails(msgspec.Struct, frozen=True):
    """Why a response ends early."""

    reason: Literal["max_output_tokens"] = "max_output_tokens"


class ReasoningSettings(msgspec.Struct, frozen=True):
    """Models do not reason apart from their answer."""

    effort: None = None
    summary: None = None


class TextFormat(msgspec.Struct, frozen=True, kw_only=True):
    """What the answer was held to; all but the type for a schema only."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    name: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    schema: dict[str, Any] | UnsetType = UNSET
    strict: bool | UnsetType | None = UNSET


class TextSettings(msgspec.Struct, frozen=True):
    """How the answer was written."""

    format: TextFormat = TextFormat()
    verbosity: Literal["medium"] = "medium"


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
    output: list[OutputMessage] = []
    usage: ResponseUsage | None = None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    metadata: dict[str, str]
    parallel_tool_calls: bool
    previous_response_id: None = None
    prompt_cache_key: str | None
    reasoning: ReasoningSettings = ReasoningSettings()
    safety_identifier: str | None
    service_tier: str = "default"
    store: bool = False
    temperature: float
    text: TextSettings = TextSettings()
    tool_choice: str
    tools: list[Any] = []
    top_logprobs: int
    top_p: float
    truncation: str
    user: str | None


def response_request(
    body: ResponseRequest, info: ModelInfo, cut: Cut | None = None
) -> GenerateRequest:
    """The engine request of a responses request. cut: what is left of its messages.

    Raises InvalidRequestError for a logit_bias on a token that the model does not have, and for a
    schema that cannot be enforced.
    """
    return base_request(
        body,
        info,
        **scheduling(body),
        grammar=text_format_grammar(body.text.format if body.text else None),
        messages=response_messages(body) if cut is None else cut.messages,
        max_tokens=body.max_output_tokens,
        n_logprobs=body.n_logprobs,
    )


def response_messages(body: ResponseRequest) -> list[dict[str, Any]]:
    """The conversation; `instructions` become its first system message."""
    if isinstance(body.input, str):
        turns = [("user", body.input)]
    else:
        turns = [
            (message.role.replace("developer", "system"), message.text) for message in body.input
        ]
    if body.instructions:
        turns.insert(0, ("system", body.instructions))
    return [{"role": role, "content": text} for role, text in turns]


def new_response(body: ResponseRequest, model: str, request: GenerateRequest) -> Response:
    """A response that has only begun."""
    return Response(
        id=new_item_id("resp"),
        created_at=int(time.time()),
        model=model,
        instructions=body.instructions,
        max_output_tokens=body.max_output_tokens,
        max_tool_calls=body.max_tool_calls,
        metadata=body.metadata or {},
        parallel_tool_calls=body.parallel_tool_calls is not False,
        prompt_cache_key=body.prompt_cache_key,
        safety_identifier=body.safety_identifier,
        temperature=request.sampling.temperature,
        text=_text_settings(body),
        tool_choice=body.tool_choice or "auto",
        top_logprobs=body.top_logprobs or 0,
        top_p=request.sampling.top_p,
        truncation=body.truncation or "disabled",
        user=body.user,
    )


def _text_settings(body: ResponseRequest) -> TextSettings:
    asked = body.text.format if body.text else None
    if asked is None or asked.name is None or asked.schema_ is None or asked.type != "json_schema":
        return TextSettings(format=TextFormat(type=asked.type if asked else "text"))
    return TextSettings(
        format=TextFormat(
            type="json_schema",
            name=asked.name,
            description=asked.description,
            schema=asked.schema_,
            strict=asked.strict,
        )
    )


def finished_response(response: Response, message: OutputMessage, finish: Finish) -> Response:
    """`response` with its end: completed, or incomplete because a limit of tokens was reached."""
    is_whole = finish.reason == "stop"
    return msgspec.structs.replace(
        response,
        completed_at=int(time.time()) if is_whole else None,
        status="completed" if is_whole else "incomplete",
        incomplete_details=None if is_whole else IncompleteDetails(),
        output=[message],
        usage=_usage(finish),
    )


def finished_message(message_id: str, output: Output) -> OutputMessage:
    """The answer as an output item. REQUIRES: the output is finished."""
    status: Literal["completed", "incomplete"] = (
        "completed" if output.finish.reason == "stop" else "incomplete"
    )
    return OutputMessage(message_id, status, [output_text(output)])


def output_text(output: Output) -> OutputText:
    """What there is of the answer; without log-probabilities when none were asked for."""
    return OutputText(output.text, chat_logprobs(output.logprobs).content)


def _usage(finish: Finish) -> ResponseUsage:
    usage = finish.usage
    return ResponseUsage(
        input_tokens=usage.n_prompt_tokens,
        input_tokens_details=InputTokensDetails(cached_tokens=usage.n_cached_tokens),
        output_tokens=usage.n_completion_tokens,
        output_tokens_details=OutputTokensDetails(),
        total_tokens=usage.n_prompt_tokens + usage.n_completion_tokens,
    )
