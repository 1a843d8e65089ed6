"""The Python twin of the compiled SSE frame template: the same bytes."""

from __future__ import annotations

import msgspec

_quoted = msgspec.json.Encoder().encode


class FrameTemplate:
    """Immutable; any thread."""

    def __init__(self, head: bytes, tail: bytes) -> None:
        self._head = head
        self._tail = tail

    def fill(self, text: str) -> bytes:
        return b"".join((self._head, _quoted(text), self._tail))
