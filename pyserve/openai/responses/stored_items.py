"""Items as they are stored, listed and sent back: whole, each with an id."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from pyserve.openai.ids import new_item_id
from pyserve.openai.responses.objects import OutputItem
from pyserve.schemas.common import RequestModel
from pyserve.schemas.input_items import InputItem, InputMessage
from pyserve.schemas.responses import ResponseRequest

_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "compaction": "cmp",
}
_OTHER = "item"


def own_items(body: ResponseRequest) -> list[dict[str, Any]]:
    """The items of a request, without those that it continues."""
    if isinstance(body.input, str):
        return [stored_item(InputMessage(type="message", role="user", content=body.input))]
    return [stored_item(item) for item in body.input]


def stored_item(item: InputItem) -> dict[str, Any]:
    """An item of a request. Texts of messages become parts."""
    kept: dict[str, Any] = _dumped(item)
    if isinstance(item, InputMessage):
        kind = "output_text" if item.role == "assistant" else "input_text"
        if isinstance(item.content, str):
            part: dict[str, Any] = {"type": kind, "text": item.content}
            kept["content"] = [part | ({"annotations": []} if kind == "output_text" else {})]
        kept |= {"type": "message", "status": item.status or "completed"}
    prefix = _PREFIXES.get(kept["type"], _OTHER)
    return {"id": new_item_id(prefix), **kept}


def output_items(items: Iterable[OutputItem]) -> list[dict[str, Any]]:
    """The items of an answer."""
    found: list[dict[str, Any]] = msgspec.json.decode(msgspec.json.encode(list(items)))
    return found


def _dumped(item: RequestModel) -> dict[str, Any]:
    return item.model_dump(exclude_none=True, by_alias=True)
