"""Reads an uploaded file: `multipart/form-data` with a file and a few short fields."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from flask import request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType
from werkzeug.sansio.multipart import (
    Data,
    Epilogue,
    Event,
    Field,
    File,
    MultipartDecoder,
    NeedData,
)

from pyserve.errors import InvalidRequestError
from pyserve.memory.files import Incoming
from pyserve.web.connection.deadlines import TimedInput
from pyserve.web.request.body import read_part

READ_BYTES = 256 * 1024
MAX_PARTS = 16
MAX_FIELD_BYTES = 4096
MAX_NAME_CHARS = 255
MAX_BOUNDARY_BYTES = 256
MAX_BUFFER_BYTES = 4 * READ_BYTES
MIN_BYTES_PER_S = 64 * 1024  # slower clients are not waited for
FILE = "file"
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass
class Upload:
    """The fields of a form, and the name that its file has."""

    fields: dict[str, str] = field(default_factory=dict)
    filename: str | None = None


def read_upload(incoming: Incoming, max_bytes: int) -> Upload:
    """The form of the current request; the content of its file goes to `incoming`.

    Raises for the wrong type, size or form, and what `Incoming.write` raises.
    """
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMediaType(
            f"Content-Type is {request.mimetype or 'absent'}, but must be multipart/form-data"
            " (with curl: -F purpose=batch -F file=@FILE)"
        )
    n_announced = request.content_length
    if n_announced is not None and n_announced > max_bytes + MAX_PARTS * MAX_FIELD_BYTES:
        raise _too_large(max_bytes)
    boundary = request.mimetype_params.get("boundary", "").encode("latin-1", "replace")
    if not 0 < len(boundary) <= MAX_BOUNDARY_BYTES:
        message = f"Content-Type: the boundary has {len(boundary)} bytes, must have 1 to"
        raise BadRequest(f"{message} {MAX_BOUNDARY_BYTES}")
    upload = Upload()
    try:
        for event, name in _events(boundary):
            _take(event, name, upload, incoming, max_bytes)
    except ValueError as error:
        raise BadRequest(f"the form is malformed: {error}") from None
    if upload.filename is None:
        raise InvalidRequestError("file is missing", param=FILE)
    if incoming.n_bytes == 0:
        raise InvalidRequestError("file has 0 bytes", param=FILE)
    return upload


def _events(boundary: bytes) -> Iterator[tuple[Event, str]]:
    """The parts of the form, each event with the name of its part."""
    decoder = MultipartDecoder(boundary, MAX_BUFFER_BYTES, max_parts=MAX_PARTS)
    stream = request.environ["wsgi.input"]
    if isinstance(stream, TimedInput):
        stream.seconds_per_byte = 1 / MIN_BYTES_PER_S
    n_left = request.content_length
    if n_left is None and not request.environ.get("wsgi.input_terminated"):
        n_left = 0
    name = ""
    while True:
        event = decoder.next_event()
        if isinstance(event, NeedData):
            n_most = READ_BYTES if n_left is None else min(READ_BYTES, n_left)
            data = read_part(stream, n_most) if n_most else b""
            n_left = n_left and n_left - len(data)
            decoder.receive_data(data or None)
            continue
        if isinstance(event, Field | File):
            name = event.name or ""
        yield event, name
        if isinstance(event, Epilogue):
            return


def _take(event: Event, name: str, upload: Upload, incoming: Incoming, max_bytes: int) -> None:
    if isinstance(event, File) and name == FILE:
        if upload.filename is not None:
            raise InvalidRequestError("file is given twice", param=FILE)
        upload.filename = sane_name(event.filename)
    if not isinstance(event, Data):
        return
    if name == FILE:
        if upload.filename is None:
            raise InvalidRequestError("file must be a file, with a name", param=FILE)
        if incoming.n_bytes + len(event.data) > max_bytes:
            raise _too_large(max_bytes)
        incoming.write(event.data)
    else:
        text = upload.fields.get(name, "") + event.data.decode()
        if len(text) > MAX_FIELD_BYTES or len(upload.fields) > MAX_PARTS:
            raise _too_large(max_bytes)
        upload.fields[name] = text


def sane_name(filename: str) -> str:
    """The last part of a path that a client gave. It is shown, and no file here has it."""
    name = _CONTROL.sub("", filename.replace("\\", "/").rpartition("/")[2])
    return name[:MAX_NAME_CHARS].strip() or FILE


def _too_large(max_bytes: int) -> RequestEntityTooLarge:
    return RequestEntityTooLarge(f"the file is larger than {max_bytes} bytes")
