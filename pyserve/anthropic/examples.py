"""Examples of the Messages API for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyserve.anthropic.messages import MessagesAnswer
from pyserve.openai.chat.conversation import Conversation
from pyserve.openai.document.examples import INFO, MODEL, Example
from pyserve.schemas.anthropic.messages import MessagesRequest

COUNTED: Mapping[str, Any] = {
    "model": MODEL,
    "system": "Answer in one short sentence.",
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
}
MESSAGES: Mapping[str, Any] = {**COUNTED, "max_tokens": 64}


def message() -> Example:
    body = MessagesRequest.model_validate(MESSAGES)
    answer = MessagesAnswer(body, MODEL, INFO, Conversation([]))
    return Example(answer, ["The capital", " of France", " is Paris."])
