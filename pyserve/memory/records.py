"""What is stored: objects (responses, conversations) and the items that belong to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

Kind = Literal["response", "conversation"]
Side = Literal["input", "output"]
Item = Mapping[str, Any]
RUNNING = frozenset({"queued", "in_progress"})


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A response, or a conversation.

    tenant: whose it is; nobody else sees it. created: Unix seconds. body: the response, or the
    metadata of the conversation, as JSON. previous, conversation: what a response continues.
    has_events: it runs in the background, and its events are kept.
    """

    id: str
    kind: Kind
    tenant: str
    created: float
    body: bytes
    status: str = "completed"
    previous: str | None = None
    conversation: str | None = None
    has_events: bool = False

    @property
    def is_running(self) -> bool:
        return self.status in RUNNING


class Page(msgspec.Struct, frozen=True):
    """Some items in the order that was asked for; has_more: there are others after them."""

    items: list[dict[str, Any]]
    has_more: bool


class Events(msgspec.Struct, frozen=True):
    """Events that follow each other, as the bytes of their frames."""

    first: int
    last: int
    data: bytes
