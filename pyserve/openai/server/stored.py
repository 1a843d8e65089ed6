"""Objects around what is stored: conversations, lists of items, and what was deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec


class ConversationObject(msgspec.Struct, frozen=True):
    """A conversation. created_at: Unix seconds."""

    id: str
    created_at: int
    metadata: dict[str, str]
    object: Literal["conversation"] = "conversation"


class StoredItem(msgspec.Struct, frozen=True):
    """An item, with what items of its type have besides."""

    id: str
    type: str


class ItemList(msgspec.Struct, frozen=True):
    """A page of items."""

    data: list[dict[str, Any]]
    first_id: str | None
    last_id: str | None
    has_more: bool
    object: Literal["list"] = "list"


class Deleted(msgspec.Struct, frozen=True):
    """What is no more. object: `response`, or `conversation.deleted`."""

    id: str
    object: str
    deleted: bool = True


def item_list(items: Sequence[dict[str, Any]], *, has_more: bool = False) -> ItemList:
    ids = [str(item["id"]) for item in items]
    first, last = (ids[0], ids[-1]) if ids else (None, None)
    return ItemList(list(items), first, last, has_more)
