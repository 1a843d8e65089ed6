"""Errors as Anthropic's API tells them.

Source: Anthropic's API reference, "Errors"; clients retry 408, 409, 429 and what is 500 or more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from pyserve.errors import ContextLengthExceededError
from pyserve.openai.server.error_shape import ErrorShape, Told
from pyserve.schemas.validate import UnsupportedParameterError

OVERLOADED = 529
_STATUS = {503: OVERLOADED}
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    OVERLOADED: "overloaded_error",
}
# Without it clients that continue a conversation that the server has would not send it whole.
_DETAILS = {"thread": {"error_code": "thread_unsupported_request"}}
SERVER_ERRORS_FROM = 500


class MessagesError(msgspec.Struct, frozen=True):
    """What went wrong; the message names the field and has the numbers.

    details: a code by which clients know that they send the request in another way.
    """

    type: str
    message: str
    details: dict[str, str] | UnsetType = UNSET


class MessagesErrorBody(msgspec.Struct, frozen=True):
    """The body of every error, and the last event of a stream that fails."""

    error: MessagesError
    request_id: str
    type: Literal["error"] = "error"


def _tell(status: int, error: Mapping[str, Any], request_id: str) -> Told:
    status = _STATUS.get(status, status)
    other = "api_error" if status >= SERVER_ERRORS_FROM else "invalid_request_error"
    told: dict[str, Any] = {"type": _TYPES.get(status, other), "message": _message(error)}
    if error["code"] == UnsupportedParameterError.code and error["param"] in _DETAILS:
        told["details"] = _DETAILS[error["param"]]
    return status, {"type": "error", "error": told, "request_id": request_id}


def _message(error: Mapping[str, Any]) -> str:
    """For a prompt that is too long in Anthropic's words, by which clients know that they compact.

    A prompt leaves room for one token of the answer.
    """
    if error["code"] == ContextLengthExceededError.code and "n_prompt_tokens" in error:
        n_max = error["n_ctx"] - 1
        return f"prompt is too long: {error['n_prompt_tokens']} tokens > {n_max} maximum"
    return str(error["message"])


ANTHROPIC = ErrorShape("Anthropic", MessagesErrorBody, _tell)
