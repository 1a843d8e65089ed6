"""POST /v1/responses: request to engine request, and the response object around its output."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from pyserve.engine.protocol import Engine, Finish, GenerateRequest, ModelInfo
from pyserve.models.profile import PLAIN, ModelProfile
from pyserve.openai.chat.conversation import Conversation, Offer, chosen, conversation
from pyserve.openai.ids import new_item_id
from pyserve.openai.responses.objects import (
    IncompleteDetails,
    InputTokensDetails,
    OutputItem,
    OutputTokensDetails,
    ReasoningSettings,
    Response,
    ResponseTool,
    ResponseUsage,
    TextFormat,
    TextSettings,
)
from pyserve.openai.sampling import base_request
from pyserve.openai.scheduling import scheduling
from pyserve.openai.structured.constraint import text_format_grammar
from pyserve.openai.tools.grammar import answer_grammar
from pyserve.schemas.input_items import (
    FunctionCallItem,
    FunctionCallOutputItem,
    InputItem,
    ReasoningItem,
)
from pyserve.schemas.responses import ResponseRequest

Turn = dict[str, Any]


def response_conversation(
    engine: Engine, body: ResponseRequest, profile: ModelProfile = PLAIN
) -> Conversation:
    """The conversation of a responses request with the model behind `engine`."""
    offer = Offer(body.tools or [], "tools.{}", can_repeat=body.parallel_tool_calls)
    offer = chosen(offer, body.tool_choice)
    return conversation(engine, response_messages(body), offer, body.thinking, profile)


def response_request(
    body: ResponseRequest, info: ModelInfo, conversation: Conversation | None = None
) -> GenerateRequest:
    """The engine request of a responses request. conversation: None: the request's texts alone.

    Raises InvalidRequestError for a logit_bias on a token that the model does not have, and for a
    schema that cannot be enforced.
    """
    conversation = conversation or Conversation(response_messages(body))
    constraint = text_format_grammar(body.text.format if body.text else None)
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
    )
    return msgspec.structs.replace(request, stop=[*request.stop, *conversation.stops])


def response_messages(body: ResponseRequest) -> list[Turn]:
    """The conversation; `instructions` become its first system message."""
    turns: list[Turn] = []
    if body.instructions:
        turns.append({"role": "system", "content": body.instructions})
    if isinstance(body.input, str):
        return [*turns, {"role": "user", "content": body.input}]
    reasoning = ""  # of the turn that follows
    for item in body.input:
        if isinstance(item, ReasoningItem):
            reasoning = item.text
            continue
        _add_turn(turns, item)
        if reasoning and turns[-1]["role"] == "assistant":
            turns[-1]["reasoning_content"] = reasoning
        reasoning = ""
    return turns


def _add_turn(turns: list[Turn], item: InputItem) -> None:
    if isinstance(item, FunctionCallItem):
        function = {"name": item.name, "arguments": item.arguments}
        if not turns or turns[-1]["role"] != "assistant":
            turns.append({"role": "assistant", "content": ""})
        calls = turns[-1].setdefault("tool_calls", [])
        calls.append({"id": item.call_id, "type": "function", "function": function})
    elif isinstance(item, FunctionCallOutputItem):
        turns.append({"role": "tool", "content": item.text, "tool_call_id": item.call_id})
    elif not isinstance(item, ReasoningItem):
        turns.append({"role": item.role.replace("developer", "system"), "content": item.text})


def new_response(body: ResponseRequest, model: str, request: GenerateRequest) -> Response:
    """A response without output, in progress."""
    return Response(
        id=new_item_id("resp"),
        created_at=int(time.time()),
        model=model,
        instructions=body.instructions,
        max_output_tokens=body.n_max_tokens,
        max_tool_calls=body.max_tool_calls,
        metadata=body.metadata or {},
        parallel_tool_calls=body.parallel_tool_calls is not False,
        prompt_cache_key=body.prompt_cache_key,
        reasoning=ReasoningSettings(body.reasoning.effort if body.reasoning else None),
        safety_identifier=body.safety_identifier,
        temperature=request.sampling.temperature,
        text=_text_settings(body),
        tool_choice=_tool_choice(body),
        tools=[
            ResponseTool(tool.name, tool.description, tool.parameters, bool(tool.strict))
            for tool in body.tools or []
        ],
        top_logprobs=body.top_logprobs or 0,
        top_p=request.sampling.top_p,
        truncation=body.truncation or "disabled",
        user=body.user,
    )


def _tool_choice(body: ResponseRequest) -> str | dict[str, Any]:
    choice = body.tool_choice
    if choice is None or isinstance(choice, str):
        return choice or "auto"
    return choice.model_dump(exclude_none=True)


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


def finished_response(
    response: Response, items: list[OutputItem], finish: Finish, n_reasoning_tokens: int
) -> Response:
    """`response` at its end: completed, or incomplete because of a token limit.

    n_reasoning_tokens: of the answer.
    """
    is_whole = finish.reason == "stop"
    return msgspec.structs.replace(
        response,
        completed_at=int(time.time()) if is_whole else None,
        status="completed" if is_whole else "incomplete",
        incomplete_details=None if is_whole else IncompleteDetails(),
        output=items,
        usage=_usage(finish, n_reasoning_tokens),
    )


def _usage(finish: Finish, n_reasoning_tokens: int) -> ResponseUsage:
    usage = finish.usage
    return ResponseUsage(
        input_tokens=usage.n_prompt_tokens,
        input_tokens_details=InputTokensDetails(cached_tokens=usage.n_cached_tokens),
        output_tokens=usage.n_completion_tokens,
        output_tokens_details=OutputTokensDetails(reasoning_tokens=n_reasoning_tokens),
        total_tokens=usage.n_prompt_tokens + usage.n_completion_tokens,
    )
