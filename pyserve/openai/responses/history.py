"""The items of `input` as messages for the chat template."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyserve.errors import InvalidRequestError
from pyserve.openai.chat.chat import template_message
from pyserve.openai.chat.compaction import summary_turn
from pyserve.openai.responses.offer import ToolName
from pyserve.openai.responses.opaque import opened
from pyserve.schemas.chat import read_messages
from pyserve.schemas.fields.content import as_content
from pyserve.schemas.fields.custom_tools import text_arguments
from pyserve.schemas.input_items import (
    BuiltInCallItem,
    BuiltInOutputItem,
    CallOutputItem,
    CompactionItem,
    CompactionTrigger,
    CustomCallItem,
    FunctionCallItem,
    InputItem,
    InputMessage,
    ItemReference,
    ReasoningItem,
    SkippedItem,
)
from pyserve.schemas.responses import ResponseRequest

Turn = dict[str, Any]
REASONING = "reasoning"
COMPACTION = "compaction"  # a summary beside the items before it
COMPACTED = "compacted"  # messages in place of all items before it


class ItemNotFoundError(InvalidRequestError):
    """An item is referred to that is not stored."""

    code = "not_found"


def response_messages(body: ResponseRequest) -> list[Turn]:
    """The conversation; `instructions` become its first system message.

    One without any items, which clients send as a probe, gets an empty turn of the user.
    Raise InvalidRequestError if every item is left out.
    """
    turns: list[Turn] = []
    if body.instructions:
        turns.append({"role": "system", "content": body.instructions})
    if isinstance(body.input, str):
        return [*turns, {"role": "user", "content": body.input}]
    thoughts = ""  # of the turn that follows
    for item in body.input:
        if isinstance(item, CompactionItem) and (shorter := shorter_of(item)) is not None:
            turns = [*turns[: bool(body.instructions)], *shorter]
            thoughts = ""
            continue
        if isinstance(item, ReasoningItem):
            thoughts = thoughts_of(item)
            continue
        if not _add_turn(turns, item):
            continue
        if thoughts and turns[-1]["role"] == "assistant":
            turns[-1]["reasoning_content"] = thoughts
        thoughts = ""
    if not body.input:
        return [*turns, {"role": "user", "content": ""}]
    if not turns:
        raise InvalidRequestError("input has no item that the model reads", param="input")
    return turns


def skipped_items(body: ResponseRequest) -> list[str]:
    """The types of the items that are no part of the prompt, one for each."""
    items = [] if isinstance(body.input, str) else body.input
    return [
        item.type
        for item in items
        if isinstance(item, SkippedItem)
        or (isinstance(item, CompactionItem) and is_foreign(item))
        or (isinstance(item, ReasoningItem) and not thoughts_of(item) and item.encrypted_content)
    ]


def check_references(body: ResponseRequest) -> None:
    """Raise ItemNotFoundError for a reference to a stored item: there are none."""
    items = [] if isinstance(body.input, str) else body.input
    for i, item in enumerate(items):
        if isinstance(item, ItemReference):
            message = f"input.{i}: no item of this id is stored: send the item itself"
            raise ItemNotFoundError(message, param=f"input.{i}")


def thoughts_of(item: ReasoningItem) -> str:
    """The reasoning in an item; empty if another server has encrypted it."""
    if item.content or item.encrypted_content is None:
        return item.text
    return opened(REASONING, item.encrypted_content) or item.text


def shorter_of(item: CompactionItem) -> list[Turn] | None:
    """The turns in an item that stands for all before it; None if it is none, or not ours."""
    text = opened(COMPACTED, item.encrypted_content)
    messages = None if text is None else read_messages(text)
    return None if messages is None else [template_message(message) for message in messages]


def is_foreign(item: CompactionItem) -> bool:
    """Whether another server has made it."""
    return summary_of(item) is None and shorter_of(item) is None


def since_compaction(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The stored items from the last that stands for all before it."""
    for i, item in reversed(list(enumerate(items))):
        if item["type"] == COMPACTION and opened(COMPACTED, item["encrypted_content"]) is not None:
            return list(items[i:])
    return list(items)


def summary_of(item: CompactionItem) -> str | None:
    """The summary in an item; None if another server has made it."""
    return opened(COMPACTION, item.encrypted_content)


def _add_turn(turns: list[Turn], item: InputItem) -> bool:
    """Add an item as a turn, or to the last one; whether it is a part of the prompt."""
    match item:
        case InputMessage():
            role = item.role.replace("developer", "system")
            turns.append({"role": role, **as_content(item.texts)})
        case CompactionTrigger():
            return False
        case CompactionItem():
            summary = summary_of(item)
            if summary is None:
                return False
            turns.append(summary_turn(summary))
        case FunctionCallItem():
            name = ToolName("function", item.name, item.namespace).offered
            _add_call(turns, item.call_id, name, item.arguments)
        case CustomCallItem():
            name = ToolName("custom", item.name, item.namespace).offered
            arguments = text_arguments(item.input)
            _add_call(turns, item.call_id, name, arguments)
        case BuiltInCallItem():
            _add_call(
                turns, item.call_id or item.id or "", item.type.removesuffix("_call"), item.text
            )
        case CallOutputItem() | BuiltInOutputItem():
            _add_result(turns, item)
        case _:
            return False
    return True


def _add_call(turns: list[Turn], call_id: str, name: str, arguments: str) -> None:
    if not turns or turns[-1]["role"] != "assistant":
        turns.append({"role": "assistant", "content": ""})
    calls = turns[-1].setdefault("tool_calls", [])
    function = {"name": name, "arguments": arguments}
    calls.append({"id": call_id, "type": "function", "function": function})


def _add_result(turns: list[Turn], item: CallOutputItem | BuiltInOutputItem) -> None:
    call_id = item.call_id or item.id
    name = item.name if isinstance(item, CallOutputItem) else None
    result: Turn = {"role": "tool", "content": item.text}
    if item.call_id is None and name is not None:
        call_id = _last_call(turns, name)
        result["name"] = name
    turns.append({**result, "tool_call_id": call_id or ""})


def _last_call(turns: Sequence[Turn], name: str) -> str | None:
    """The id of the last call of a function."""
    for turn in reversed(turns):
        for call in reversed(turn.get("tool_calls", [])):
            if call["function"]["name"] == name:
                found: str = call["id"]
                return found
    return None
