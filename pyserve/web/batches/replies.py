"""Replies about files and batches, and what queries ask of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

from flask import Response

from pyserve.errors import InvalidRequestError, NotFoundError
from pyserve.memory.batches import Archive, BatchState, Kind
from pyserve.memory.files import FileRecord
from pyserve.web.request.access import tenant
from pyserve.web.request.services import services

READ_BYTES = 256 * 1024
CONTENT_TYPE = "application/octet-stream"
SHARE_OF_ONE = 0.75  # of all bytes, where there are several keys


def the_archive() -> Archive:
    """Raises NotFoundError where nothing is stored."""
    archive = services().memory.archive
    if archive is None:
        raise NotFoundError("this server stores no files (--file-store-mib)")
    return archive


def the_file(file_id: str) -> FileRecord:
    """The file, which is the current tenant's. Raises NotFoundError."""
    record = the_archive().files.get(tenant(), file_id)
    if record is None:
        raise NotFoundError("there is no file of this id", param="file_id")
    return record


def the_batch(batch_id: str, kind: Kind = "batch") -> BatchState:
    """The batch, which is the current tenant's. Raises NotFoundError."""
    state = the_archive().batches.get(tenant(), batch_id)
    if state is None or not state.is_a(kind):
        raise NotFoundError("there is no batch of this id", param="batch_id")
    return state


def share() -> float:
    """Which part of all bytes the current tenant may have."""
    return SHARE_OF_ONE if len(services().keys) > 1 else 1.0


def lines_reply(
    state: BatchState, told: Callable[[Iterable[bytes]], Iterator[bytes]], content_type: str
) -> Response:
    """All results of a batch that is over, as `told` makes them of their lines.

    Raises NotFoundError if a file of them was removed.
    """
    ids = [each for each in (state.output_file_id, state.error_file_id) if each is not None]
    with ExitStack() as opened:
        try:
            paths = [the_archive().files.path(file_id) for file_id in ids]
            found = [opened.enter_context(path.open("rb")) for path in paths]
        except FileNotFoundError:
            raise NotFoundError("the results were removed") from None
        response = Response(told(itertools.chain(*found)), content_type=content_type)
        response.call_on_close(opened.pop_all().close)
    return response


def content_reply(record: FileRecord) -> Response:
    """The content of a file. Raises NotFoundError if it was removed."""
    path = the_archive().files.path(record.id)
    try:
        n_bytes = path.stat().st_size
        parts = _parts(path)
        first = next(parts, b"")
    except FileNotFoundError:
        raise NotFoundError("the content of the file was removed", param="file_id") from None

    def content() -> Iterator[bytes]:
        yield first
        yield from parts

    name = quote(record.filename, safe="")
    headers = {
        "Content-Length": str(n_bytes),
        "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(content(), 200, headers, content_type=CONTENT_TYPE)


def _parts(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(READ_BYTES):
            yield data


def check_purpose(purpose: str | None) -> str | None:
    """Of a query. Raises InvalidRequestError."""
    if purpose not in (None, "batch", "batch_output"):
        message = 'purpose must be "batch" or "batch_output"'
        raise InvalidRequestError(message, param="purpose")
    return purpose
