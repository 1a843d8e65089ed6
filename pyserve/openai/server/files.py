"""Files and batches as OpenAI's API tells them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from pyserve.memory.batches import BatchError, BatchState, Status
from pyserve.memory.files import FileRecord


class FileObject(msgspec.Struct, frozen=True, kw_only=True):
    """A file. bytes: of its content. created_at, expires_at: Unix seconds."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: str
    status: Literal["processed"] = "processed"
    status_details: None = None


class FileList(msgspec.Struct, frozen=True):
    """A page of files."""

    data: list[FileObject]
    first_id: str | None
    last_id: str | None
    has_more: bool
    object: Literal["list"] = "list"


class Errors(msgspec.Struct, frozen=True):
    """Why a batch has failed."""

    data: list[BatchError]
    object: Literal["list"] = "list"


class RequestCounts(msgspec.Struct, frozen=True):
    """How many lines there are, and how they went."""

    total: int
    completed: int
    failed: int


class InputDetails(msgspec.Struct, frozen=True):
    """Of the tokens of prompts."""

    cached_tokens: int


class OutputDetails(msgspec.Struct, frozen=True):
    """Of the tokens of answers."""

    reasoning_tokens: int


class BatchUsage(msgspec.Struct, frozen=True):
    """What all answers together have used."""

    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: OutputDetails
    total_tokens: int


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch. Times are Unix seconds."""

    id: str
    object: Literal["batch"] = "batch"
    endpoint: str
    model: str | None
    errors: Errors | None
    input_file_id: str
    completion_window: str
    status: Status
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    in_progress_at: int | None
    expires_at: int
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: RequestCounts
    usage: BatchUsage
    metadata: dict[str, str] | None


class BatchList(msgspec.Struct, frozen=True):
    """A page of batches."""

    data: list[Batch]
    first_id: str | None
    last_id: str | None
    has_more: bool
    object: Literal["list"] = "list"


def file_object(record: FileRecord) -> FileObject:
    return FileObject(
        id=record.id,
        bytes=record.n_bytes,
        created_at=int(record.created),
        expires_at=int(record.expires),
        filename=record.filename,
        purpose=record.purpose,
    )


def file_list(records: Sequence[FileRecord], *, has_more: bool = False) -> FileList:
    files = [file_object(record) for record in records]
    first, last = (files[0].id, files[-1].id) if files else (None, None)
    return FileList(files, first, last, has_more)


def batch_list(states: Sequence[BatchState], *, has_more: bool = False) -> BatchList:
    batches = [batch_object(state) for state in states]
    first, last = (batches[0].id, batches[-1].id) if batches else (None, None)
    return BatchList(batches, first, last, has_more)


def batch_object(state: BatchState) -> Batch:
    times = {f"{name}_at": int(at) for name, at in state.times.items()}
    return Batch(
        id=state.id,
        endpoint=state.endpoint,
        model=state.model,
        errors=Errors(state.errors) if state.errors else None,
        input_file_id=state.input_file_id,
        completion_window=state.completion_window,
        status=state.status,
        output_file_id=state.output_file_id,
        error_file_id=state.error_file_id,
        created_at=int(state.created),
        in_progress_at=times.get("in_progress_at"),
        expires_at=int(state.expires),
        finalizing_at=times.get("finalizing_at"),
        completed_at=times.get("completed_at"),
        failed_at=times.get("failed_at"),
        expired_at=times.get("expired_at"),
        cancelling_at=times.get("cancelling_at"),
        cancelled_at=times.get("cancelled_at"),
        request_counts=RequestCounts(state.n_total, state.n_completed, state.n_failed),
        usage=BatchUsage(
            state.n_input_tokens,
            InputDetails(state.n_cached_tokens),
            state.n_output_tokens,
            OutputDetails(state.n_reasoning_tokens),
            state.n_input_tokens + state.n_output_tokens,
        ),
        metadata=state.metadata,
    )
