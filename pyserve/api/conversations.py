"""/v1/conversations: conversations that responses continue, and their items."""

from __future__ import annotations

import msgspec
from flask import Response

from pyserve.api.endpoint import Endpoint
from pyserve.api.stored_responses import ITEM, PAGES
from pyserve.errors import NotFoundError
from pyserve.memory.records import Stored
from pyserve.openai.document.operation import Operation
from pyserve.openai.ids import new_item_id
from pyserve.openai.responses.stored_items import stored_item
from pyserve.openai.server.stored import (
    ConversationObject,
    Deleted,
    ItemList,
    StoredItem,
    item_list,
)
from pyserve.schemas.conversations import (
    ConversationItems,
    ConversationRequest,
    ConversationUpdate,
)
from pyserve.web.request.access import tenant
from pyserve.web.request.body import read_body
from pyserve.web.request.replies import json_reply
from pyserve.web.stored.replies import page_reply, the_store, the_stored

ID = "conv_0123456789ab"
SENT = {"role": "user", "content": "What is the capital of France?"}

endpoint = Endpoint("conversations", tag="Conversations")


def _example() -> ConversationObject:
    return ConversationObject(ID, 1764000000, {"topic": "France"})


def _shown(stored: Stored) -> ConversationObject:
    return ConversationObject(stored.id, int(stored.created), msgspec.json.decode(stored.body))


@endpoint.view(
    Operation(
        name="createConversation",
        method="post",
        path="/conversations",
        summary="Begin a conversation",
        request=ConversationRequest,
        body={"metadata": {"topic": "France"}, "items": [SENT]},
        response=ConversationObject,
        example=_example,
    )
)
def create() -> Response:
    body = read_body(ConversationRequest)
    stored = Stored(
        id=new_item_id("conv"),
        kind="conversation",
        tenant=tenant(),
        created=the_store().now_s(),
        body=msgspec.json.encode(body.metadata or {}),
    )
    the_store().add(stored, [stored_item(item) for item in body.items or []])
    return json_reply(_shown(stored))


@endpoint.view(
    Operation(
        name="retrieveConversation",
        method="get",
        path="/conversations/{conversation_id}",
        summary="A conversation",
        response=ConversationObject,
        example=_example,
    )
)
def retrieve(conversation_id: str) -> Response:
    return json_reply(_shown(the_stored("conversation", conversation_id)))


@endpoint.view(
    Operation(
        name="updateConversation",
        method="post",
        path="/conversations/{conversation_id}",
        summary="Change the metadata of a conversation",
        request=ConversationUpdate,
        body={"metadata": {"topic": "France"}},
        response=ConversationObject,
        example=_example,
    )
)
def update(conversation_id: str) -> Response:
    body = read_body(ConversationUpdate)
    stored = the_stored("conversation", conversation_id)
    changed = msgspec.json.encode(body.metadata)
    the_store().replace_body(tenant(), stored.id, changed)
    return json_reply(_shown(msgspec.structs.replace(stored, body=changed)))


@endpoint.view(
    Operation(
        name="deleteConversation",
        method="delete",
        path="/conversations/{conversation_id}",
        summary="Delete a conversation and its items",
        response=Deleted,
        example=lambda: Deleted(ID, "conversation.deleted"),
    )
)
def delete(conversation_id: str) -> Response:
    if not the_store().delete(tenant(), "conversation", conversation_id):
        raise NotFoundError("there is no conversation of this id")
    return json_reply(Deleted(conversation_id, "conversation.deleted"))


@endpoint.view(
    Operation(
        name="listConversationItems",
        method="get",
        path="/conversations/{conversation_id}/items",
        summary="The items of a conversation",
        query=PAGES,
        response=ItemList,
        example=lambda: item_list([ITEM]),
    )
)
def items(conversation_id: str) -> Response:
    stored = the_stored("conversation", conversation_id)
    return json_reply(page_reply(stored.id))


@endpoint.view(
    Operation(
        name="createConversationItems",
        method="post",
        path="/conversations/{conversation_id}/items",
        summary="Append items to a conversation",
        request=ConversationItems,
        body={"items": [SENT]},
        response=ItemList,
        example=lambda: item_list([ITEM]),
    )
)
def append(conversation_id: str) -> Response:
    body = read_body(ConversationItems)
    stored = the_stored("conversation", conversation_id)
    added = [stored_item(item) for item in body.items]
    the_store().append(tenant(), stored.id, added)
    return json_reply(item_list(added))


@endpoint.view(
    Operation(
        name="retrieveConversationItem",
        method="get",
        path="/conversations/{conversation_id}/items/{item_id}",
        summary="One item of a conversation",
        response=StoredItem,
        example=lambda: ITEM,
    )
)
def item(conversation_id: str, item_id: str) -> Response:
    stored = the_stored("conversation", conversation_id)
    found = the_store().item(tenant(), item_id, stored.id)
    if found is None:
        raise NotFoundError("the conversation has no item of this id")
    return json_reply(found)


@endpoint.view(
    Operation(
        name="deleteConversationItem",
        method="delete",
        path="/conversations/{conversation_id}/items/{item_id}",
        summary="Delete one item of a conversation",
        response=ConversationObject,
        example=_example,
    )
)
def delete_item(conversation_id: str, item_id: str) -> Response:
    stored = the_stored("conversation", conversation_id)
    if not the_store().delete_item(tenant(), stored.id, item_id):
        raise NotFoundError("the conversation has no item of this id")
    return json_reply(_shown(stored))
