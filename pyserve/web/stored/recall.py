"""Finds what a responses request continues, and says whether its answer is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyserve.errors import InvalidRequestError, NotFoundError
from pyserve.memory.store import Store
from pyserve.openai.responses.history import check_references, since_compaction
from pyserve.openai.responses.stored_items import own_items
from pyserve.schemas.chat import MAX_MESSAGES
from pyserve.schemas.common import MAX_TEXT_BYTES
from pyserve.schemas.input_items import InputItem, ItemReference, parsed_items
from pyserve.schemas.responses import ResponseRequest
from pyserve.schemas.validate import UnsupportedParameterError
from pyserve.web.request.access import tenant
from pyserve.web.request.services import services


class PreviousResponseNotFoundError(InvalidRequestError):
    """The response that is to be continued is not stored, or another tenant's."""

    code = "previous_response_not_found"


@dataclass(frozen=True)
class Recalled:
    """A request with everything that it continues.

    body: its input is the whole conversation; `store` says whether the answer is stored, in
    `store`. own: the items that the request has sent itself; items: with all before them.
    """

    body: ResponseRequest
    own: list[dict[str, Any]]
    items: list[dict[str, Any]]
    store: Store | None
    tenant: str


def recall(body: ResponseRequest) -> Recalled:
    """What the current request means.

    Raises PreviousResponseNotFoundError, NotFoundError for a conversation, and InvalidRequestError
    for what needs a store where there is none, or is too much together.
    """
    store = services().memory.store
    if store is None:
        _refuse_memory(body)
        check_references(body)
        own = own_items(body)
        items = since_compaction(own)
        return Recalled(body.model_copy(update={"store": False}), own, items, None, tenant())
    is_stored = body.store is not False
    if body.background and not is_stored:
        raise InvalidRequestError("background needs `store`, which is off", param="background")
    owner = tenant()
    body = _resolved(body, store, owner)
    own = own_items(body)
    past = since_compaction(_past(body, store, owner))
    update: dict[str, Any] = {"store": is_stored}
    if past:
        update["input"] = [*parsed_items(past), *parsed_items(own)]
        _check_size(body, update["input"])
    body = body.model_copy(update=update)
    return Recalled(body, own, since_compaction([*past, *own]), store if is_stored else None, owner)


def _refuse_memory(body: ResponseRequest) -> None:
    for name in ("previous_response_id", "conversation", "background"):
        if getattr(body, name):
            message = f"{name} is not supported: this server stores nothing (--response-store-mib)"
            raise UnsupportedParameterError(message, param=name)


def _resolved(body: ResponseRequest, store: Store, owner: str) -> ResponseRequest:
    """The request with the items that it refers to. Raises ItemNotFoundError."""
    if isinstance(body.input, str):
        return body
    items: list[InputItem] = []
    for item in body.input:
        found = store.item(owner, item.id) if isinstance(item, ItemReference) else None
        items.append(item if found is None else parsed_items([found])[0])
    body = body.model_copy(update={"input": items})
    check_references(body)
    return body


def _past(body: ResponseRequest, store: Store, owner: str) -> list[dict[str, Any]]:
    """The items of what is continued, from the first."""
    if body.conversation is not None:
        conversation = store.get(owner, "conversation", body.conversation_id)
        if conversation is None:
            raise NotFoundError("there is no such conversation", param="conversation")
        store.use([conversation.id])
        return store.items(owner, conversation.id)
    if body.previous_response_id is None:
        return []
    chain = store.chain(owner, body.previous_response_id, MAX_MESSAGES)
    if chain is None:
        message = "this response, or one that it continues, is not stored any more"
        raise PreviousResponseNotFoundError(
            f"previous_response_id: {message}", param="previous_response_id"
        )
    if chain[-1].is_running:
        message = "previous_response_id: this response is not finished yet"
        raise InvalidRequestError(message, param="previous_response_id")
    return [item for stored in chain for item in store.items(owner, stored.id)]


def _check_size(body: ResponseRequest, items: Sequence[InputItem]) -> None:
    """The whole conversation has to be as small as one that is sent."""
    param = "conversation" if body.conversation is not None else "previous_response_id"
    n_bytes = sum(len(item.text.encode()) for item in items)
    if len(items) > MAX_MESSAGES:
        message = f"the conversation has {len(items)} items, at most {MAX_MESSAGES}"
        raise InvalidRequestError(message, param=param)
    if n_bytes > MAX_TEXT_BYTES:
        message = f"the conversation has {n_bytes} bytes of text, at most {MAX_TEXT_BYTES}"
        raise InvalidRequestError(message, param=param)
