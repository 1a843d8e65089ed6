"""Maps exceptions to HTTP: the status table, the OpenAI error body, handlers for every error.

Requests of other APIs get the same errors in those APIs' shapes.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

import msgspec
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from pyserve.errors import (
    CancelledError,
    ContextLengthExceededError,
    InternalError,
    InvalidRequestError,
    ModelLoadError,
    ModelNotFoundError,
    NotFoundError,
    NotSupportedError,
    PermissionDeniedError,
    PyserveError,
    RateLimitError,
    UnauthorizedError,
    UnavailableError,
)
from pyserve.web.request.disconnect import ClientGoneError
from pyserve.web.request.families import current_family
from pyserve.web.request.notes import request_id

log = logging.getLogger(__name__)

INVALID = "invalid_request_error"
UNAVAILABLE = "unavailable_error"
SERVER = "server_error"
RATE_LIMIT = "rate_limit_error"
PERMISSION = "permission_error"

# Exception class -> status and `error.type`. The most derived class that is listed counts.
STATUS_AND_TYPE: dict[type[Exception], tuple[int, str]] = {
    InvalidRequestError: (400, INVALID),
    UnauthorizedError: (401, INVALID),
    PermissionDeniedError: (403, PERMISSION),
    RateLimitError: (429, RATE_LIMIT),
    ModelNotFoundError: (404, INVALID),
    NotFoundError: (404, INVALID),
    NotSupportedError: (501, SERVER),
    ModelLoadError: (503, UNAVAILABLE),
    UnavailableError: (503, UNAVAILABLE),
    ClientGoneError: (499, UNAVAILABLE),
    CancelledError: (503, UNAVAILABLE),
    InternalError: (500, SERVER),
    Exception: (500, SERVER),
}
HTTP_CODES = {
    400: "malformed_request",
    404: "unknown_url",
    405: "method_not_allowed",
    413: "request_too_large",
    415: "unsupported_media_type",
    501: "unsupported_transfer_coding",
}
RETRY_STATUS = frozenset({429, 503})
SERVER_ERRORS_FROM = 500
MAX_PATH_CHARS = 200


def install(app: Flask) -> None:
    """Have every error of `app` answered in the shape of the request's API."""
    app.register_error_handler(HTTPException, _http_response)
    app.register_error_handler(Exception, error_response)


def error_response(error: Exception, *, level: int = logging.INFO, **beside: Any) -> Response:
    """The response for any exception; unexpected ones are logged and not shown.

    level: at which a 503 is logged. beside: further members of the body, next to `error`.
    """
    status, body = describe(error, request_id(), level=level)
    g.error_code = body["error"]["code"]
    response = _told(status, body["error"], beside)
    if status in RETRY_STATUS:
        response.headers["Retry-After"] = str(retry_after(error))
    return response


def retry_after(error: Exception) -> int:
    """Seconds for the `Retry-After` header, at least 1."""
    details = error.details if isinstance(error, PyserveError) else {}
    return max(1, math.ceil(float(details.get("retry_after_s", 1))))


def describe(
    error: Exception, shown_id: str, *, level: int = logging.INFO
) -> tuple[int, dict[str, Any]]:
    """Status and body for an exception; logs unexpected ones under the request id `shown_id`."""
    status, kind = next(
        STATUS_AND_TYPE[cls] for cls in type(error).__mro__ if cls in STATUS_AND_TYPE
    )
    if not isinstance(error, PyserveError):
        log.error("request %s failed", shown_id, exc_info=error)
        message = f"internal error; the log has it under request id {shown_id}"
        return status, error_body(message, kind, None, "internal_error")
    if status >= SERVER_ERRORS_FROM:
        is_defect = isinstance(error, InternalError)
        log.log(
            logging.ERROR if is_defect else level,
            "request %s: %s: %s",
            shown_id,
            error.code,
            error.message,
        )
    body = error_body(error.message, kind, error.param, error.code)
    if isinstance(error, ContextLengthExceededError):
        body["error"] |= error.details
    return status, body


def error_body(message: str, kind: str, param: str | None, code: str | None) -> dict[str, Any]:
    """The OpenAI error object: all four keys, always."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _http_response(error: HTTPException) -> Response:
    """The response for an HTTP error of Flask or `body`: same status and Allow header, our body."""
    status = error.code or SERVER_ERRORS_FROM
    message = error.description or error.name
    if status == 404:  # noqa: PLR2004
        message = f"unknown URL: {request.method} {request.path[:MAX_PATH_CHARS]}"
    if status == 405:  # noqa: PLR2004
        message = f"{request.method} is not allowed on {request.path[:MAX_PATH_CHARS]}"
    kind = SERVER if status >= SERVER_ERRORS_FROM else INVALID
    body = error_body(message, kind, None, HTTP_CODES.get(status))
    response = _told(status, body["error"], {})
    allowed = getattr(error, "valid_methods", None)
    if allowed:
        response.headers["Allow"] = ", ".join(sorted(allowed))
    return response


def _told(status: int, error: Mapping[str, Any], beside: Mapping[str, Any]) -> Response:
    """The response for an OpenAI error object, as the API of the current request tells it."""
    status, body = current_family().errors.tell(status, error, request_id())
    content = msgspec.json.encode({**body, **beside})
    return Response(content, status, content_type="application/json")
