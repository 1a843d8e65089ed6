"""Compaction: a conversation becomes what its user said, and a summary by the model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from pyserve.engine.protocol import GenerateRequest, ModelInfo
from pyserve.openai.answer import Output
from pyserve.openai.chat.compaction import TASK
from pyserve.openai.chat.conversation import Conversation
from pyserve.openai.ids import new_item_id
from pyserve.openai.responses.history import COMPACTION
from pyserve.openai.responses.objects import ResponseUsage
from pyserve.openai.responses.opaque import sealed
from pyserve.openai.responses.responses import response_request, response_usage
from pyserve.openai.tools.parsed_answer import ReadChoice
from pyserve.schemas.input_items import InputMessage
from pyserve.schemas.responses import ResponseRequest

KEPT_ROLES = frozenset({"user", "system", "developer"})


class Compacted(msgspec.Struct, frozen=True, kw_only=True):
    """The shorter conversation, to be sent as `input`. created_at: Unix seconds."""

    id: str
    object: Literal["response.compaction"] = "response.compaction"
    created_at: int
    output: list[dict[str, Any]]
    usage: ResponseUsage


def with_task(body: ResponseRequest) -> ResponseRequest:
    """The request for the summary of what `body` holds."""
    said = body.input
    if isinstance(said, str):
        said = [InputMessage(role="user", content=said)]
    return body.model_copy(update={"input": [*said, InputMessage(role="user", content=TASK)]})


def kept_items(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The stored items that stay as they are: what users and developers have said."""
    return [item for item in items if item["type"] == "message" and item["role"] in KEPT_ROLES]


class CompactAnswer:
    """Implements `Answer` for POST /v1/responses/compact.

    body: with the task. kept: the items that stay.
    """

    prompt_param = "input"
    grammar_param = "input"

    def __init__(
        self,
        body: ResponseRequest,
        info: ModelInfo,
        conversation: Conversation,
        kept: list[dict[str, Any]],
    ) -> None:
        self.requests: list[GenerateRequest] = [response_request(body, info, conversation)]
        self._style = conversation.style
        self._kept = kept

    def response(self, outputs: Sequence[Output]) -> Compacted:
        (output,) = outputs
        read = ReadChoice(self._style).push_all(output.deltas)
        summary = {
            "type": COMPACTION,
            "id": new_item_id("cmp"),
            "encrypted_content": sealed(COMPACTION, read.text.strip()),
        }
        return Compacted(
            id=new_item_id("resp"),
            created_at=int(time.time()),
            output=[*self._kept, summary],
            usage=response_usage([output.finish], read.n_reasoning_tokens),
        )
