"""Errors as Anthropic's API tells them.

Source: Anthropic's API reference, "Errors"; clients retry 408, 409, 429 and what is 500 or more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from pyserve.errors import ContextLengthExceededError
from pyserve.openai.server.error_shape import ErrorShape, Told

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
SERVER_ERRORS_FROM = 500


class MessagesError(msgspec.Struct, frozen=True):
    """What went wrong; the message names the field and has the numbers."""

    type: str
    message: str


class MessagesErrorBody(msgspec.Struct, frozen=True):
    """The body of every error, and the last event of a stream that fails."""

    error: MessagesError
    request_id: str
    type: Literal["error"] = "error"


def _tell(status: int, error: Mapping[str, Any], request_id: str) -> Told:
    status = _STATUS.get(status, status)
    other = "api_error" if status >= SERVER_ERRORS_FROM else "invalid_request_error"
    told = {"type": _TYPES.get(status, other), "message": _message(error)}
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
