"""Errors as Ollama's API tells them: one text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pyserve.openai.server.error_shape import ErrorShape, Told


class OllamaError(msgspec.Struct, frozen=True):
    """The body of every error, and the last line of a stream that fails."""

    error: str


def _tell(status: int, error: Mapping[str, Any], _request_id: str) -> Told:
    return status, {"error": error["message"]}


OLLAMA = ErrorShape("Ollama", OllamaError, _tell)
