"""POST /v1/responses: request to engine request, and the response object around its output."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pyserve.engine.protocol import (
    Engine,
    Finish,
    GenerateRequest,
    ModelInfo,
    SamplingParams,
)
from pyserve.models.profile import PLAIN, ModelProfile
from pyserve.openai.chat.conversation import Conversation, Offer, conversation
from pyserve.openai.ids import new_item_id
from pyserve.openai.responses.history import response_messages
from pyserve.openai.responses.objects import (
    ConversationId,
    ErrorCode,
    IncompleteDetails,
    InputTokensDetails,
    OutputItem,
    OutputTokensDetails,
    ReasoningSettings,
    Response,
    ResponseError,
    ResponseUsage,
    TextFormat,
    TextSettings,
)
from pyserve.openai.sampling import base_request
from pyserve.openai.scheduling import scheduling
from pyserve.openai.structured.constraint import Constraint, text_format_constraint
from pyserve.openai.tools.grammar import answer_grammar
from pyserve.schemas.response_tools import AnyTool, ResponseTool
from pyserve.schemas.responses import ResponseRequest

RATE_CODES = frozenset({"queue_full", "rate_limit_exceeded"})


def response_conversation(
    engine: Engine,
    body: ResponseRequest,
    offer: Offer,
    profile: ModelProfile = PLAIN,
    messages: list[dict[str, Any]] | None = None,
) -> Conversation:
    """The conversation of a responses request with the model behind `engine`.

    messages: in place of its own.
    """
    messages = response_messages(body) if messages is None else messages
    return conversation(engine, messages, offer, body.thinking, profile)


def response_request(
    body: ResponseRequest, info: ModelInfo, conversation: Conversation | None = None
) -> GenerateRequest:
    """The engine request of a responses request. conversation: None: the request's texts alone.

    Raises InvalidRequestError for a logit_bias on a token that the model does not have, and for a
    schema that cannot be enforced.
    """
    conversation = conversation or Conversation(response_messages(body))
    constraint = text_constraint(body).grammar
    request = base_request(
        body,
        info,
        **scheduling(body),
        grammar=answer_grammar(
            conversation.thinking, conversation.calls, constraint, conversation.around
        ),
        messages=conversation.messages,
        template=conversation.options,
        thinking=conversation.thinking_limit,
        max_tokens=body.n_max_tokens,
        n_logprobs=body.n_logprobs,
        wants_timings=bool(body.stream and body.timings_per_token),
    )
    return msgspec.structs.replace(request, stop=[*request.stop, *conversation.stops])


def text_constraint(body: ResponseRequest) -> Constraint:
    """What the text of the answer is held to. Raises InvalidSchemaError."""
    return text_format_constraint(body.text.format if body.text else None)


def new_response(
    body: ResponseRequest, model: str, sampling: SamplingParams, *, can_call_several: bool = False
) -> Response:
    """A response without output, in progress."""
    reasoning = body.reasoning
    return Response(
        id=new_item_id("resp"),
        created_at=int(time.time()),
        model=model,
        instructions=body.instructions,
        max_output_tokens=body.n_max_tokens,
        max_tool_calls=body.max_tool_calls,
        metadata=body.metadata or {},
        background=bool(body.background),
        previous_response_id=body.previous_response_id,
        conversation=None if body.conversation is None else ConversationId(body.conversation_id),
        store=bool(body.store),
        parallel_tool_calls=can_call_several,
        prompt_cache_key=body.prompt_cache_key,
        reasoning=ReasoningSettings(reasoning.effort, reasoning.wanted_summary)
        if reasoning
        else ReasoningSettings(),
        safety_identifier=body.safety_identifier,
        service_tier=body.tier,
        temperature=sampling.temperature,
        text=_text_settings(body),
        tool_choice=_tool_choice(body),
        tools=[_repeated(tool) for tool in body.tools or []],
        top_logprobs=body.top_logprobs or 0,
        top_p=sampling.top_p,
        truncation=body.truncation or "disabled",
        user=body.user,
        presence_penalty=sampling.presence_penalty,
        frequency_penalty=sampling.frequency_penalty,
    )


def _repeated(tool: AnyTool) -> dict[str, Any]:
    """A tool as it came; a function has all members."""
    if not isinstance(tool, ResponseTool):
        return tool.as_given()
    return {"description": None, "parameters": None, "strict": False, **tool.as_given()}


def _tool_choice(body: ResponseRequest) -> str | dict[str, Any]:
    choice = body.tool_choice
    if choice is None or isinstance(choice, str):
        return choice or "auto"
    return choice.model_dump(exclude_none=True)


def _text_settings(body: ResponseRequest) -> TextSettings:
    asked = body.text.format if body.text else None
    if asked is None or asked.name is None or asked.schema_ is None or asked.type != "json_schema":
        form = TextFormat(type=asked.type if asked else "text")
        return TextSettings(form, body.thinking.verbosity or "medium")
    return TextSettings(
        format=TextFormat(
            type="json_schema",
            name=asked.name,
            description=asked.description,
            schema=asked.schema_,
            strict=asked.strict,
        ),
        verbosity=body.thinking.verbosity or "medium",
    )


def failed_response(response: Response, error: Mapping[str, Any]) -> Response:
    """`response` ended by an error, which is OpenAI's error object of other endpoints."""
    return msgspec.structs.replace(
        response,
        status="failed",
        error=ResponseError(_code(error), error["message"], error["type"], error["param"]),
    )


def _code(error: Mapping[str, Any]) -> ErrorCode:
    """The code of a failure in OpenAI's list of them."""
    if error["code"] in RATE_CODES:
        return "rate_limit_exceeded"
    return "invalid_prompt" if error["type"] == "invalid_request_error" else "server_error"


def finished_response(
    response: Response,
    items: list[OutputItem],
    finishes: Sequence[Finish],
    n_reasoning_tokens: int,
    *,
    is_whole: bool,
) -> Response:
    """`response` at its end: completed, or incomplete because of a token limit.

    finishes: of its engine requests. n_reasoning_tokens: of the answer.
    """
    return msgspec.structs.replace(
        response,
        completed_at=int(time.time()) if is_whole else None,
        status="completed" if is_whole else "incomplete",
        incomplete_details=None if is_whole else IncompleteDetails(),
        output=items,
        usage=response_usage(finishes, n_reasoning_tokens),
    )


def response_usage(finishes: Sequence[Finish], n_reasoning_tokens: int) -> ResponseUsage:
    """The counts of engine requests, of which `n_reasoning_tokens` are thoughts."""
    n_prompt = sum(finish.usage.n_prompt_tokens for finish in finishes)
    n_cached = sum(finish.usage.n_cached_tokens for finish in finishes)
    n_completion = sum(finish.usage.n_completion_tokens for finish in finishes)
    return ResponseUsage(
        input_tokens=n_prompt,
        input_tokens_details=InputTokensDetails(cached_tokens=n_cached),
        output_tokens=n_completion,
        output_tokens_details=OutputTokensDetails(reasoning_tokens=n_reasoning_tokens),
        total_tokens=n_prompt + n_completion,
    )
