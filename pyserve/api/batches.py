"""/v1/batches: the requests of a file, answered while nobody else asks."""

from __future__ import annotations

from flask import Response, request

from pyserve.api.endpoint import Endpoint
from pyserve.errors import InvalidRequestError, NotFoundError
from pyserve.memory.batches import BatchState
from pyserve.openai.document.operation import Operation
from pyserve.openai.server.files import Batch, BatchList, batch_list, batch_object
from pyserve.schemas.batches import BatchRequest
from pyserve.web.batches.begin import new_batch
from pyserve.web.batches.replies import the_archive, the_batch
from pyserve.web.request.access import tenant
from pyserve.web.request.body import read_body
from pyserve.web.request.replies import json_reply
from pyserve.web.stored.replies import DEFAULT_PAGE, MAX_PAGE, number

ID = "batch_0123456789ab"
DAY_S = 86_400

endpoint = Endpoint("batches", tag="Files and batches")


def example() -> Batch:
    created = 1764000000.0
    return batch_object(
        BatchState(
            id=ID,
            tenant="",
            key="",
            created=created,
            endpoint="/v1/chat/completions",
            input_file_id="file-0123456789ab",
            completion_window="24h",
            expires=created + DAY_S,
            output_ttl_s=30 * DAY_S,
            status="in_progress",
            metadata={"topic": "France"},
            model="smollm2-135m-instruct",
            times={"in_progress": created + 1},
            n_total=100,
            n_completed=12,
        )
    )


@endpoint.view(
    Operation(
        name="createBatch",
        method="post",
        path="/batches",
        summary="Answer the requests of a file",
        details="Each line is `{custom_id, method, url, body}`. They run in the background: only"
        " while nothing else does. The output file has a line for each that was answered with"
        " success, the error file one for each other.",
        request=BatchRequest,
        body={
            "input_file_id": "file-0123456789ab",
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
        },
        response=Batch,
        example=example,
    )
)
def create() -> Response:
    body = read_body(BatchRequest)
    archive = the_archive()
    file = archive.files.get(tenant(), body.input_file_id)
    if file is None:
        raise NotFoundError("there is no file of this id", param="input_file_id")
    after = body.output_expires_after
    state = new_batch(
        "batch",
        body.window_s,
        endpoint=body.endpoint,
        input_file_id=file.id,
        n_input_bytes=file.n_bytes,
        completion_window=body.completion_window,
        output_ttl_s=archive.ttl_s if after is None else after.seconds,
        metadata=body.metadata,
    )
    try:
        archive.batches.add(state, archive.files.path(file.id))
    except FileNotFoundError:
        message = "the content of the file was removed"
        raise InvalidRequestError(message, param="input_file_id") from None
    return json_reply(batch_object(state))


@endpoint.view(
    Operation(
        name="listBatches",
        method="get",
        path="/batches",
        summary="The batches, the newest first",
        query={
            "limit": "Most batches, 1 to 100; absent: 20.",
            "after": "Those that follow the batch of this id.",
        },
        response=BatchList,
        example=lambda: batch_list([]),
    )
)
def list_batches() -> Response:
    n_max = number("limit", DEFAULT_PAGE, 1, MAX_PAGE)
    states, has_more = the_archive().batches.page(
        tenant(), "batch", n_max, after=request.args.get("after")
    )
    return json_reply(batch_list(states, has_more=has_more))


@endpoint.view(
    Operation(
        name="retrieveBatch",
        method="get",
        path="/batches/{batch_id}",
        summary="How far a batch is",
        response=Batch,
        example=example,
    )
)
def retrieve(batch_id: str) -> Response:
    return json_reply(batch_object(the_batch(batch_id)))


@endpoint.view(
    Operation(
        name="cancelBatch",
        method="post",
        path="/batches/{batch_id}/cancel",
        summary="Cancel a batch",
        details="What is answered stays. One that is over stays as it is.",
        response=Batch,
        example=example,
    )
)
def cancel(batch_id: str) -> Response:
    the_archive().batches.cancel(tenant(), the_batch(batch_id).id)
    return json_reply(batch_object(the_batch(batch_id)))
