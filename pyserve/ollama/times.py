"""Times as Ollama's API has them."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    return datetime.now(UTC)


def rfc3339(time: datetime) -> str:
    """A time as RFC 3339 has it. REQUIRES: a time in UTC."""
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")
