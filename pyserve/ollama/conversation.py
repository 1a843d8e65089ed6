"""Translates Ollama's chats and prompts into those of chat completions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pyserve.engine.protocol import ModelInfo
from pyserve.errors import InvalidRequestError
from pyserve.openai.tools.recognition import may_think
from pyserve.schemas.chat import ChatRequest
from pyserve.schemas.completions import MAX_LOGPROBS, CompletionRequest
from pyserve.schemas.fields.scheduling import SchedulingFields
from pyserve.schemas.ollama import (
    AnswerFields,
    OllamaChatRequest,
    OllamaGenerateRequest,
    OllamaMessage,
)
from pyserve.schemas.validate import validate

Message = dict[str, Any]


def chat_of(body: OllamaChatRequest) -> ChatRequest:
    """The chat of a chat request. Raises InvalidRequestError, as its validation does."""
    tools = [
        {"type": "function", "function": tool.function.model_dump(exclude_none=True)}
        for tool in body.tools or []
    ]
    return _chat(body, messages_of(body.messages or []), {"tools": tools or None})


def chat_of_prompt(body: OllamaGenerateRequest) -> ChatRequest:
    """The chat that a prompt is, with its system text."""
    messages = [{"role": "user", "content": body.prompt or ""}]
    if body.system:
        messages.insert(0, {"role": "system", "content": body.system})
    return _chat(body, messages, {})


def text_of(body: OllamaGenerateRequest) -> CompletionRequest:
    """The completion of a prompt that no chat template is used for."""
    n_max = body.given.n_max_tokens
    n_top = (body.top_logprobs or 0) if body.logprobs else None
    data = {
        **_common(body),
        "prompt": body.prompt or "",
        "n_predict": -1 if n_max is None else n_max,
        "logprobs": None if n_top is None else min(n_top, MAX_LOGPROBS),
    }
    return validate(CompletionRequest, data)


def messages_of(messages: Sequence[OllamaMessage]) -> list[Message]:
    """The messages in OpenAI's form: calls have ids, and results the ids of their calls."""
    shown: list[Message] = []
    pending: list[tuple[str, str]] = []  # id and name of calls without a result
    n_calls = 0
    for message in messages:
        turn: Message = {"role": message.role, "content": message.content or ""}
        if message.thinking and message.role == "assistant":
            turn["reasoning_content"] = message.thinking
        if message.tool_calls:
            calls = []
            for call in message.tool_calls:
                n_calls += 1
                call_id = call.id or f"call_{n_calls}"
                pending.append((call_id, call.function.name))
                arguments = json.dumps(call.function.arguments, ensure_ascii=False)
                function = {"name": call.function.name, "arguments": arguments}
                calls.append({"id": call_id, "type": "function", "function": function})
            turn["tool_calls"] = calls
        if message.role == "tool":
            turn |= _result_of(message, pending)
        shown.append(turn)
    return shown


def _result_of(message: OllamaMessage, pending: list[tuple[str, str]]) -> Message:
    """Whose result a message is: of the call it names by id, by function, else the next one."""
    wanted = message.tool_call_id, message.tool_name
    found = next(
        (call for call in pending if call[0] == wanted[0]),
        next((call for call in pending if call[1] == wanted[1]), pending[0] if pending else None),
    )
    if found is not None:
        pending.remove(found)
    call_id = message.tool_call_id or (found and found[0])
    name = message.tool_name or (found and found[1])
    return {key: value for key, value in (("tool_call_id", call_id), ("name", name)) if value}


def check_thinking(body: AnswerFields, info: ModelInfo) -> None:
    """Raises InvalidRequestError where reasoning is asked of a model that does not reason."""
    if body.think and not may_think(info.file_template):
        raise InvalidRequestError(f"{body.model!r} does not support thinking", param="think")


def _chat(body: AnswerFields, messages: list[Message], more: dict[str, Any]) -> ChatRequest:
    data = {
        **_common(body),
        **more,
        "think": body.think,
        "messages": messages,
        "max_tokens": body.given.n_max_tokens,
        "logprobs": body.logprobs,
        "top_logprobs": body.top_logprobs if body.logprobs else None,
        "truncation": "auto" if body.truncate else None,
        "num_ctx": body.context_limit,
    }
    return validate(ChatRequest, data)


def _common(body: AnswerFields) -> dict[str, Any]:
    """Fields that mean the same here and there."""
    scheduling = body.model_dump(
        include=set(SchedulingFields.model_fields), exclude_none=True, by_alias=True
    )
    return {**body.given.sampling, **scheduling, "model": body.model, "format": body.format}
