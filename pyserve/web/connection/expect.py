"""`Expect: 100-continue` (RFC 9110, 10.1.1), bodies left unread, and what ends a connection."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
MAX_SKIPPED_BYTES = 64 << 10  # gunicorn closes a connection rather than skip so much of a body


def asks_to_close(headers: Iterable[tuple[str, str]]) -> bool:
    """Whether a client ends its connection: `close` in a list of options (RFC 9110, 7.6.1).

    headers: with names in upper case. gunicorn knows the option where it stands alone.
    """
    lists = (value.lower() for name, value in headers if name == "CONNECTION")
    return any(option.strip() == "close" for each in lists for option in each.split(","))


def must_close(body: Any) -> bool:
    """Whether nothing can follow a request on its connection, as its body is malformed, or left.

    The answer has to say so: a client would lose the next request that it sends there.
    """
    if getattr(body, "failed", False):
        return True
    if isinstance(body, AwaitedBody) and not body.is_asked_for:
        return True  # a client that was not asked may send its body or not
    return int(getattr(body.reader, "length", 0)) >= MAX_SKIPPED_BYTES


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
    def reader(self) -> Any:
        """gunicorn's source of the body; one of known length has the bytes still to be read."""
        return self._body.reader

    @property
    def failed(self) -> bool:
        """Whether reading failed, so that nothing can follow on the connection (for gunicorn)."""
        return bool(getattr(self._body, "failed", False))

    def _ask(self) -> None:
        if not self.is_asked_for:
            self.is_asked_for = True
            self._client.sendall(CONTINUE)
