"""A span of one request for OpenTelemetry, as `traces` makes it and `otlp` sends it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Span:
    """One request. Times in nanoseconds since 1970. parent: the headers that name it, if any.

    error: the code of what went wrong, None: nothing.
    """

    name: str
    begin_ns: int
    end_ns: int
    parent: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None


Export = Callable[[Span], None]
