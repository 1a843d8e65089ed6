"""Examples of the Messages API for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyserve.anthropic.batches import URL, MessageBatch, message_batch
from pyserve.anthropic.messages import MessagesAnswer
from pyserve.memory.batches import BatchState
from pyserve.openai.chat.conversation import Conversation
from pyserve.openai.document.examples import INFO, MODEL, Example
from pyserve.schemas.anthropic.messages import MessagesRequest

COUNTED: Mapping[str, Any] = {
    "model": MODEL,
    "system": "Answer in one short sentence.",
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
}
MESSAGES: Mapping[str, Any] = {**COUNTED, "max_tokens": 64}
BATCH: Mapping[str, Any] = {"requests": [{"custom_id": "capital", "params": MESSAGES}]}
BATCH_ID = "msgbatch_0123456789ab"
CREATED = 1764000000.0
DAY_S = 86_400


def message() -> Example:
    body = MessagesRequest.model_validate(MESSAGES)
    answer = MessagesAnswer(body, MODEL, INFO, Conversation([]))
    return Example(answer, ["The capital", " of France", " is Paris."])


def batch() -> MessageBatch:
    state = BatchState(
        id=BATCH_ID,
        tenant="",
        key="",
        created=CREATED,
        endpoint=URL,
        input_file_id="",
        completion_window="24h",
        expires=CREATED + DAY_S,
        output_ttl_s=DAY_S,
        status="completed",
        times={"completed": CREATED + 60},
        n_total=1,
        n_completed=1,
    )
    return message_batch(state, f"http://localhost:8080{URL}/batches/{BATCH_ID}/results")
