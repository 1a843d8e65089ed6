"""Replies about what is stored, and what the query of a request asks of it."""

from __future__ import annotations

from flask import Response, request

from pyserve.errors import InvalidRequestError, NotFoundError
from pyserve.memory.records import Kind, Side, Stored
from pyserve.memory.store import Store
from pyserve.openai.server.stored import ItemList, item_list
from pyserve.web.answer.sse import event_reply
from pyserve.web.request.access import tenant
from pyserve.web.request.caller import current_caller
from pyserve.web.request.services import services
from pyserve.web.request.stream_limit import Permit
from pyserve.web.stored.replay import replayed

MAX_PAGE = 100
DEFAULT_PAGE = 20
FIRST = -1  # events after it are all


def the_store() -> Store:
    """Raises NotFoundError where nothing is stored."""
    store = services().memory.store
    if store is None:
        raise NotFoundError("this server stores nothing (--response-store-mib)")
    return store


def the_stored(kind: Kind, object_id: str) -> Stored:
    """The object, which is the current tenant's. Raises NotFoundError."""
    stored = the_store().get(tenant(), kind, object_id)
    if stored is None:
        raise NotFoundError(f"there is no {kind} of this id")
    return stored


def stored_reply(stored: Stored) -> Response:
    """A stored response as it is."""
    return Response(stored.body, 200, content_type="application/json")


def replay_reply(response_id: str, after: int = FIRST, permit: Permit | None = None) -> Response:
    """A stream of the events of a background response. permit: is released at its end."""
    parts = services()
    frames = replayed(
        the_store(), response_id, after, current_caller().watch.check, parts.keep_alive_s
    )
    return event_reply(frames, permit.release if permit else lambda: None)


def page_reply(object_id: str, side: Side | None = None) -> ItemList:
    """The page of items that the query asks for: `limit`, `order`, `after`."""
    n_max = number("limit", DEFAULT_PAGE, 1, MAX_PAGE)
    page = the_store().page(
        tenant(),
        object_id,
        n_max,
        is_ascending=is_ascending(),
        after=request.args.get("after"),
        side=side,
    )
    return item_list(page.items, has_more=page.has_more)


def number(name: str, default: int, low: int, high: int) -> int:
    """A number in the query. Raises InvalidRequestError."""
    text = request.args.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and low <= int(text[:18]) <= high):
        raise InvalidRequestError(f"{name} must be a number from {low} to {high}", param=name)
    return int(text)


def is_ascending() -> bool:
    """What `order` in the query says. Raises InvalidRequestError."""
    order = request.args.get("order", "desc")
    if order not in ("asc", "desc"):
        raise InvalidRequestError('order must be "asc" or "desc"', param="order")
    return order == "asc"
