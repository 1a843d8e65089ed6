"""`Expect: 100-continue` (RFC 9110, 10.1.1): sent when the application first reads the body."""

from __future__ import annotations

import socket
from typing import Any

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class AwaitedBody:
    """A request body that is asked for when it is first read: a refusal comes before it is sent."""

    def __init__(self, body: Any, client: socket.socket) -> None:
        self._body = body
        self._client = client
        self.is_asked_for = False

    def read(self, size: int | None = None) -> bytes:
        self._ask()
        data: bytes = self._body.read(size)
        return data

    def readline(self, size: int | None = None) -> bytes:
        self._ask()
        data: bytes = self._body.readline(size)
        return data

    @property
    def failed(self) -> bool:
        """Whether reading failed, so that nothing can follow on the connection (for gunicorn)."""
        return bool(getattr(self._body, "failed", False))

    def _ask(self) -> None:
        if not self.is_asked_for:
            self.is_asked_for = True
            self._client.sendall(CONTINUE)
