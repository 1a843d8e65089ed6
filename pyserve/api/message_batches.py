"""/v1/messages/batches: batches by Anthropic's API, on the same machinery as /v1/batches."""

from __future__ import annotations

from flask import Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from pyserve.anthropic import examples
from pyserve.anthropic.batches import (
    URL,
    DeletedMessageBatch,
    MessageBatch,
    MessageBatchList,
    batch_lines,
    message_batch,
    message_batch_list,
    result_lines,
)
from pyserve.anthropic.errors import ANTHROPIC
from pyserve.anthropic.models import check_edges, page_limit
from pyserve.api.endpoint import Endpoint
from pyserve.errors import InvalidRequestError, NotFoundError
from pyserve.memory.batches import BatchState
from pyserve.openai.document.operation import Operation
from pyserve.schemas.anthropic.batches import MessageBatchRequest
from pyserve.web.batches.begin import new_batch
from pyserve.web.batches.replies import lines_reply, share, the_archive, the_batch
from pyserve.web.request.access import tenant
from pyserve.web.request.body import read_body
from pyserve.web.request.own_urls import own_url
from pyserve.web.request.replies import json_reply
from pyserve.web.request.services import services

DAY_S = 86_400
CONTENT_TYPE = "application/x-jsonl"

endpoint = Endpoint("message_batches", tag="Messages", errors=ANTHROPIC)


@endpoint.view(
    Operation(
        name="createMessageBatch",
        method="post",
        path="/messages/batches",
        summary="Answer many conversations, by Anthropic's Message Batches API",
        details="They run in the background: only while nothing else does.",
        request=MessageBatchRequest,
        body=examples.BATCH,
        response=MessageBatch,
        example=examples.batch,
    )
)
def create() -> Response:
    body = read_body(MessageBatchRequest)
    archive = the_archive()
    with archive.files.incoming(tenant(), share()) as incoming:
        for line in batch_lines(body):
            if len(line) > services().config.max_body_bytes:
                raise RequestEntityTooLarge(f"a request has {len(line)} bytes as a line of a batch")
            incoming.write(line)
        incoming.sync()
        state = new_batch(
            "msgbatch",
            DAY_S,
            endpoint=URL,
            input_file_id="",
            n_input_bytes=incoming.n_bytes,
            n_total=len(body.requests),
            completion_window="24h",
            output_ttl_s=archive.ttl_s,
        )
        archive.batches.add(state, incoming.path)
    return json_reply(_shown(state))


@endpoint.view(
    Operation(
        name="listMessageBatches",
        method="get",
        path="/messages/batches",
        summary="Batches of messages, the newest first",
        query={
            "limit": "Most batches, 1 to 1000; absent: 20.",
            "after_id": "The page after the batch of this id.",
            "before_id": "The page before it.",
        },
        response=MessageBatchList,
        example=lambda: message_batch_list([examples.batch()], has_more=False),
    )
)
def list_batches() -> Response:
    n_max = page_limit(request.args.get("limit"))
    after, before = _edge("after_id"), _edge("before_id")
    check_edges(after, before)
    states, has_more = the_archive().batches.page(
        tenant(), "msgbatch", n_max, after=after, before=before
    )
    return json_reply(message_batch_list([_shown(each) for each in states], has_more=has_more))


@endpoint.view(
    Operation(
        name="retrieveMessageBatch",
        method="get",
        path="/messages/batches/{message_batch_id}",
        summary="How far a batch of messages is",
        response=MessageBatch,
        example=examples.batch,
    )
)
def retrieve(message_batch_id: str) -> Response:
    return json_reply(_shown(_named(message_batch_id)))


@endpoint.view(
    Operation(
        name="cancelMessageBatch",
        method="post",
        path="/messages/batches/{message_batch_id}/cancel",
        summary="Cancel a batch of messages",
        details="What is answered stays. One that has ended stays as it is.",
        response=MessageBatch,
        example=examples.batch,
    )
)
def cancel(message_batch_id: str) -> Response:
    the_archive().batches.cancel(tenant(), _named(message_batch_id).id)
    return json_reply(_shown(_named(message_batch_id)))


@endpoint.view(
    Operation(
        name="retrieveMessageBatchResults",
        method="get",
        path="/messages/batches/{message_batch_id}/results",
        summary="The results of a batch of messages that has ended",
        details="Lines of JSON, in no order: `{custom_id, result}`. The type of a result is"
        " `succeeded` (with a `message`), `errored` (with an `error`), `canceled` or `expired`.",
        media_type=CONTENT_TYPE,
    )
)
def results(message_batch_id: str) -> Response:
    state = _named(message_batch_id)
    if not state.is_over:
        raise NotFoundError(f"the batch is {state.status}: it has results when it has ended")
    if state.errors:
        raise InvalidRequestError(f"the batch has no results: {state.errors[0].message}")
    return lines_reply(state, result_lines, CONTENT_TYPE)


@endpoint.view(
    Operation(
        name="deleteMessageBatch",
        method="delete",
        path="/messages/batches/{message_batch_id}",
        summary="Delete a batch of messages that has ended, and its results",
        response=DeletedMessageBatch,
        example=lambda: DeletedMessageBatch(id=examples.BATCH_ID),
    )
)
def delete(message_batch_id: str) -> Response:
    state = _named(message_batch_id)
    if not state.is_over:
        raise InvalidRequestError(f"the batch is {state.status}: cancel it, or wait for its end")
    the_archive().batches.delete(tenant(), state.id)
    return json_reply(DeletedMessageBatch(id=state.id))


def _named(batch_id: str) -> BatchState:
    return the_batch(batch_id, "msgbatch")


def _shown(state: BatchState) -> MessageBatch:
    return message_batch(state, own_url(f"/v1/messages/batches/{state.id}/results"))


def _edge(name: str) -> str | None:
    """The id of a batch in the query. Raises InvalidRequestError for one that is none."""
    batch_id = request.args.get(name)
    if not batch_id:
        return None
    state = the_archive().batches.get(tenant(), batch_id)
    if state is None or not state.is_a("msgbatch"):
        raise InvalidRequestError(f"{name} is none of the batches", param=name)
    return batch_id
