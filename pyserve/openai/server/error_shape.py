"""How an API tells errors: the status and the body for an error that OpenAI's API would tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

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


OPENAI = ErrorShape("", ErrorBody, lambda status, error, _: (status, {"error": dict(error)}))
