"""GET, DELETE /v1/responses/{id}, POST .../cancel, GET .../input_items."""

from __future__ import annotations

import msgspec
from flask import Response, request

from pyserve.api.endpoint import Endpoint
from pyserve.errors import InvalidRequestError, NotFoundError
from pyserve.openai.document import examples
from pyserve.openai.document.operation import Operation
from pyserve.openai.responses.objects import Response as ResponseObject
from pyserve.openai.server.stored import Deleted, ItemList, item_list
from pyserve.web.request.access import tenant
from pyserve.web.request.admission import admit_follower
from pyserve.web.request.replies import json_reply
from pyserve.web.stored.replies import (
    FIRST,
    number,
    page_reply,
    replay_reply,
    stored_reply,
    the_store,
    the_stored,
)

MAX_EVENT = 10**9
ID = "resp_0123456789ab"
ITEM = {
    "id": "msg_0123456789ab",
    "type": "message",
    "role": "user",
    "status": "completed",
    "content": [{"type": "input_text", "text": "What is the capital of France?"}],
}
PAGES = {
    "limit": "Most items, 1 to 100; absent: 20.",
    "order": "`asc`, or `desc`, which is the default.",
    "after": "Those that follow the item of this id.",
}

endpoint = Endpoint("stored_responses", tag="Stored responses")


@endpoint.view(
    Operation(
        name="retrieveResponse",
        method="get",
        path="/responses/{response_id}",
        summary="A stored response",
        details="A stream of a background response has its events so far, then those to come. It"
        " counts against `--max-streams`, and the share of it that a key may have.",
        query={
            "stream": "true: as a stream of events, for responses in the background.",
            "starting_after": "With stream: only events with a higher `sequence_number`.",
        },
        response=ResponseObject,
        example=lambda: examples.response().plain(),
    )
)
def retrieve(response_id: str) -> Response:
    stored = the_stored("response", response_id)
    if request.args.get("stream", "").lower() not in ("true", "1"):
        return stored_reply(stored)
    if not stored.has_events:
        message = "stream: only the events of background responses are kept"
        raise InvalidRequestError(message, param="stream")
    after = number("starting_after", FIRST, 0, MAX_EVENT)
    return replay_reply(response_id, after, admit_follower())


@endpoint.view(
    Operation(
        name="deleteResponse",
        method="delete",
        path="/responses/{response_id}",
        summary="Delete a stored response",
        details="One that is being worked on is cancelled.",
        response=Deleted,
        example=lambda: Deleted(ID, "response"),
    )
)
def delete(response_id: str) -> Response:
    if not the_store().delete(tenant(), "response", response_id):
        raise NotFoundError("there is no response of this id")
    return json_reply(Deleted(response_id, "response"))


@endpoint.view(
    Operation(
        name="cancelResponse",
        method="post",
        path="/responses/{response_id}/cancel",
        summary="Cancel a background response",
        details="One that has ended stays as it is.",
        response=ResponseObject,
        example=lambda: examples.response().plain(),
    )
)
def cancel(response_id: str) -> Response:
    stored = the_stored("response", response_id)
    if not stored.has_events:
        message = "only responses in the background can be cancelled"
        raise InvalidRequestError(message, param="response_id")
    if stored.is_running:
        body = {**msgspec.json.decode(stored.body), "status": "cancelled"}
        the_store().change(stored.id, "cancelled", msgspec.json.encode(body))
        stored = the_stored("response", response_id)
    return stored_reply(stored)


@endpoint.view(
    Operation(
        name="listInputItems",
        method="get",
        path="/responses/{response_id}/input_items",
        summary="The items that a stored response was asked with",
        query=PAGES,
        response=ItemList,
        example=lambda: item_list([ITEM]),
    )
)
def input_items(response_id: str) -> Response:
    stored = the_stored("response", response_id)
    return json_reply(page_reply(stored.id, "input"))
