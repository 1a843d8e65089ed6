"""Batches as Anthropic's API tells them, over those of `memory` and the results of `batch`.

Source: Anthropic's API reference, "Message Batches".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from pyserve.batch.journal import Result
from pyserve.memory.batches import BatchState
from pyserve.process.json_line import json_line
from pyserve.schemas.anthropic.batches import MessageBatchRequest

URL = "/v1/messages"
CANCELLED = "batch_cancelled"
ProcessingStatus = Literal["in_progress", "canceling", "ended"]


class MessageBatchCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How its requests went; together they are all."""

    processing: int
    succeeded: int
    errored: int
    canceled: int
    expired: int


class MessageBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch. Times are those of RFC 3339."""

    id: str
    type: Literal["message_batch"] = "message_batch"
    processing_status: ProcessingStatus
    request_counts: MessageBatchCounts
    ended_at: str | None
    created_at: str
    expires_at: str
    archived_at: str | None = None
    cancel_initiated_at: str | None
    results_url: str | None


class MessageBatchList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of batches."""

    data: list[MessageBatch]
    has_more: bool
    first_id: str | None
    last_id: str | None


class DeletedMessageBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch that is no more."""

    id: str
    type: Literal["message_batch_deleted"] = "message_batch_deleted"


def batch_lines(body: MessageBatchRequest) -> Iterator[bytes]:
    """Its requests as the lines of a batch."""
    for each in body.requests:
        asked = {
            "custom_id": each.custom_id,
            "method": "POST",
            "url": URL,
            "body": each.params,
        }
        yield json_line(asked) + b"\n"


def message_batch(state: BatchState, results_url: str) -> MessageBatch:
    ended = state.times[state.status] if state.is_over else None
    cancelled = state.times.get("cancelling")
    status: ProcessingStatus = "in_progress" if cancelled is None else "canceling"
    return MessageBatch(
        id=state.id,
        processing_status="ended" if state.is_over else status,
        request_counts=_counts(state),
        ended_at=None if ended is None else _time(ended),
        created_at=_time(state.created),
        expires_at=_time(state.expires),
        cancel_initiated_at=None if cancelled is None else _time(cancelled),
        results_url=results_url if state.is_over else None,
    )


def message_batch_list(batches: Sequence[MessageBatch], *, has_more: bool) -> MessageBatchList:
    first, last = (batches[0].id, batches[-1].id) if batches else (None, None)
    return MessageBatchList(data=list(batches), has_more=has_more, first_id=first, last_id=last)


def result_lines(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The results of a batch, each as a line of Anthropic's."""
    for line in lines:
        found = msgspec.json.decode(line, type=Result)
        yield json_line({"custom_id": found.custom_id, "result": _result(found)}) + b"\n"


def _counts(state: BatchState) -> MessageBatchCounts:
    n_done = state.n_completed + state.n_failed
    n_canceled = state.n_left if state.status in ("cancelling", "cancelled") else 0
    n_lost = state.n_total - n_done if state.status == "failed" else 0
    return MessageBatchCounts(
        processing=state.n_total - n_done - n_lost,
        succeeded=state.n_completed,
        errored=state.n_failed - state.n_left + n_lost,
        canceled=n_canceled,
        expired=state.n_left - n_canceled,
    )


def _result(found: Result) -> dict[str, Any]:
    if found.response is None:
        is_cancelled = found.error is not None and found.error.code == CANCELLED
        return {"type": "canceled" if is_cancelled else "expired"}
    if found.is_ok:
        return {"type": "succeeded", "message": found.response.body}
    return {"type": "errored", "error": found.response.body}


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
