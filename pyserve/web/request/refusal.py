"""Raw error responses without the application: malformed HTTP, and clients that stall.

No application has run yet, so these go to the socket as they are. Knows gunicorn's exceptions.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import NamedTuple

import msgspec
from gunicorn.http import errors  # type: ignore[import-untyped]

from pyserve.errors import InvalidRequestError
from pyserve.web.request.errors import INVALID, SERVER, SERVER_ERRORS_FROM, UNAVAILABLE, error_body
from pyserve.web.request.families import DEFAULT, Family
from pyserve.web.request.notes import fresh_id

MAX_MESSAGE_CHARS = 200
TIMEOUT_CODE = "request_timeout"
STALLED = "the request did not arrive in time"
_PHRASES = {status.value: status.phrase for status in HTTPStatus}  # other APIs know one more


class MalformedRequestError(InvalidRequestError):
    """The body is not framed as HTTP demands."""

    code = "malformed_request"


class Refusal(NamedTuple):
    """The HTTP response that ends a connection."""

    status: HTTPStatus
    code: str
    message: str

    def to_bytes(
        self, shown_id: str = "", retry_after_s: int | None = None, family: Family = DEFAULT
    ) -> bytes:
        """The whole response; the connection is to be closed after it."""
        shown_id = shown_id or fresh_id()
        error = error_body(self.message, self._kind, None, self.code)["error"]
        status, body = family.errors.tell(self.status, error, shown_id)
        content = msgspec.json.encode(body)
        retry = "" if retry_after_s is None else f"Retry-After: {retry_after_s}\r\n"
        own_id = "" if family.id_header is None else f"{family.id_header}: {shown_id}\r\n"
        head = (
            f"HTTP/1.1 {status:d} {_PHRASES.get(status, 'Overloaded')}\r\n"
            f"Content-Type: {family.json_type}\r\n"
            f"Content-Length: {len(content)}\r\n"
            f"X-Request-Id: {shown_id}\r\n"
            f"{own_id}{retry}"
            "Connection: close\r\n\r\n"
        )
        return head.encode("ascii") + content

    @property
    def _kind(self) -> str:
        if self.status == HTTPStatus.SERVICE_UNAVAILABLE:
            return UNAVAILABLE
        return SERVER if self.status >= SERVER_ERRORS_FROM else INVALID


# The first class that fits counts.
_REFUSALS: tuple[tuple[type[Exception], HTTPStatus, str], ...] = (
    (errors.LimitRequestLine, HTTPStatus.REQUEST_URI_TOO_LONG, "uri_too_long"),
    (errors.LimitRequestHeaders, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large"),
    (errors.ExpectationFailed, HTTPStatus.EXPECTATION_FAILED, "expectation_failed"),
    (errors.UnsupportedTransferCoding, HTTPStatus.NOT_IMPLEMENTED, "unsupported_transfer_coding"),
    (
        errors.InvalidHTTPVersion,
        HTTPStatus.HTTP_VERSION_NOT_SUPPORTED,
        "http_version_not_supported",
    ),
)
_DEFECTS = (
    errors.ConfigurationProblem,
    errors.InvalidResponseHeader,
    errors.InvalidResponseHeaderName,
)


def is_malformed(error: BaseException) -> bool:
    """Whether the error is about bytes that are not valid HTTP for this server."""
    is_cut_off = isinstance(error, errors.NoMoreData)  # the client has gone
    is_wrong = isinstance(error, errors.ParseException) and not isinstance(error, _DEFECTS)
    return is_cut_off or is_wrong


def describe_malformed(error: Exception) -> str:
    """The parser's message, printable and short."""
    text = "".join(char if char.isprintable() else "?" for char in str(error))
    return f"malformed HTTP request: {text[:MAX_MESSAGE_CHARS]}"


def refuse(error: Exception) -> Refusal:
    """The response for an error that ended a connection outside of the application."""
    if not is_malformed(error):
        message = "internal error; see the server's log"
        return Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", message)
    for kind, status, code in _REFUSALS:
        if isinstance(error, kind):
            return Refusal(status, code, describe_malformed(error))
    return Refusal(HTTPStatus.BAD_REQUEST, MalformedRequestError.code, describe_malformed(error))


def needs_tls() -> Refusal:
    """The 400 for a client that speaks plain HTTP to a server with TLS."""
    message = "this server speaks TLS: use https:// in its URL"
    return Refusal(HTTPStatus.BAD_REQUEST, MalformedRequestError.code, message)


def stalled() -> Refusal:
    """The 408 for a client that has stopped sending."""
    return Refusal(HTTPStatus.REQUEST_TIMEOUT, TIMEOUT_CODE, STALLED)
