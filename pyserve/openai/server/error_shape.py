"""How an API tells errors: the status and the body for an error that OpenAI's API would tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from pyserve.errors import ContextLengthExceededError
from pyserve.openai.server.about import ErrorBody

Told = tuple[int, dict[str, Any]]


@dataclass(frozen=True)
class ErrorShape:
    """name: of the API, "" is OpenAI's. body: the type of its errors.

    tell: status and body, from OpenAI's status and error object and the id of the request.
    """

    name: str
    body: type[msgspec.Struct]
    tell: Callable[[int, Mapping[str, Any], str], Told]


def _told(status: int, error: Mapping[str, Any], _request_id: str) -> Told:
    """The error as it is; a prompt that is too long also in OpenAI's words.

    Clients know it by them, and shorten the conversation.
    """
    told = dict(error)
    if error["code"] == ContextLengthExceededError.code and "n_ctx" in error:
        words = f"This model's maximum context length is {error['n_ctx']} tokens"
        told["message"] = f"{error['message']}. {words} for this request."
    return status, {"error": told}


OPENAI = ErrorShape("", ErrorBody, _told)
