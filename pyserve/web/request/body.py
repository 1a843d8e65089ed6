"""Reads a request body of bounded size and validates it against its schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flask import request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType
from werkzeug.exceptions import NotImplemented as UnsupportedCoding

from pyserve.schemas.fields.scheduling import DEFAULT_TIER, SchedulingFields
from pyserve.schemas.foreign import ForeignFields
from pyserve.schemas.validate import Body, validate
from pyserve.web.request.access import current_key
from pyserve.web.request.disconnect import ClientGoneError
from pyserve.web.request.families import current_family
from pyserve.web.request.ignored_fields import tell_ignored
from pyserve.web.request.json_gate import parse_object
from pyserve.web.request.refusal import MalformedRequestError, describe_malformed, is_malformed
from pyserve.web.request.services import services

READ_BYTES = 64 * 1024
# The last one is what `curl -d` says.
UNTYPED = ("", "application/octet-stream", "application/x-www-form-urlencoded")


def read_body(schema: type[Body], *, list_field: str | None = None) -> Body:
    """The current request's body. Raises for the wrong type, size, JSON or content.

    Fields without effect are named in X-Ignored-Fields, or refused with `--strict-fields`.
    list_field: the body may also be a list, the value of this field.
    A content type is demanded because a page of another site can post anything else unasked; such
    a page has an Origin, without which some APIs do without the type.
    """
    return read_chosen(lambda _data: schema, list_field=list_field)


def read_chosen(
    choose: Callable[[Mapping[str, Any]], type[Body]], *, list_field: str | None = None
) -> Body:
    """The same for a body that may be of several schemas. choose: by its content."""
    _check_headers()
    config = services().config
    data = parse_object(_read(config.max_body_bytes), list_field=list_field)
    foreign = ForeignFields()
    body = validate(choose(data), data, foreign)
    tell_ignored(foreign.paths(data), refuse=config.strict_fields)
    return _within_key(body)


def _within_key(body: Body) -> Body:
    """`body` without a service tier that would ask for more priority than the key may."""
    key = current_key()
    if key is None or key.max_priority is None or not isinstance(body, SchedulingFields):
        return body
    most = max(key.max_priority, 0)
    is_too_much = body.priority_used > most >= (body.priority or 0)
    return body.model_copy(update={"service_tier": DEFAULT_TIER[0]}) if is_too_much else body


def _check_headers() -> None:
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding != "identity":
        raise UnsupportedMediaType("Content-Encoding is not supported: send the body as it is")
    coding = request.headers.get("Transfer-Encoding", "chunked").strip().lower()
    if coding not in ("chunked", "identity"):
        raise UnsupportedCoding(f"Transfer-Encoding: the coding {coding[:100]!r} is not supported")
    is_untyped = request.mimetype in UNTYPED and "Origin" not in request.headers
    if request.mimetype != "application/json" and not (
        is_untyped and current_family().takes_untyped
    ):
        raise UnsupportedMediaType(
            f"Content-Type is {request.mimetype or 'absent'}, but must be application/json"
            ' (with curl: -H "Content-Type: application/json")'
        )
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if charset not in ("utf-8", "utf8"):
        raise UnsupportedMediaType("the charset of the body must be utf-8")


def _read(n_max_bytes: int) -> bytes:
    """The body; at most one byte more than allowed is read, also when no length is announced."""
    n_announced = request.content_length
    if n_announced is None and not request.environ.get("wsgi.input_terminated"):
        return b""
    if n_announced is not None and n_announced > n_max_bytes:
        raise _too_large(n_max_bytes)
    body = bytearray()
    n_wanted = n_max_bytes + 1 if n_announced is None else n_announced
    stream = request.environ["wsgi.input"]
    while len(body) < n_wanted:
        data = read_part(stream, min(READ_BYTES, n_wanted - len(body)))
        if not data:
            break
        body += data
    if len(body) > n_max_bytes:
        raise _too_large(n_max_bytes)
    if n_announced is not None and len(body) < n_announced:
        raise BadRequest(f"the body ended after {len(body)} of {n_announced} bytes")
    return bytes(body)


def read_part(stream: Any, n_bytes: int) -> bytes:
    """Some of a body. Raises MalformedRequestError, ClientGoneError."""
    try:
        data: bytes = stream.read(n_bytes)
    except Exception as error:
        if is_malformed(error):
            raise MalformedRequestError(describe_malformed(error)) from error
        if isinstance(error, OSError):
            raise ClientGoneError("the client closed the connection") from error
        raise
    return data


def _too_large(n_max_bytes: int) -> RequestEntityTooLarge:
    return RequestEntityTooLarge(f"the body is larger than {n_max_bytes} bytes")
