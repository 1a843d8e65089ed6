"""Detects a client's disconnect while there is nothing to write to it."""

from __future__ import annotations

import select
from collections.abc import Mapping
from typing import Any

from pyserve.errors import CancelledError

SOCKET_KEY = "gunicorn.socket"
_GONE = select.POLLRDHUP | select.POLLHUP | select.POLLERR | select.POLLNVAL


class ClientGoneError(CancelledError):
    """The client closed its connection before the answer was complete."""


class ClientWatch:
    """Looks at the socket of one request. A client that closed its sending side counts as gone.

    Thread: the request's own. The socket is the server's and is not changed.
    """

    def __init__(self, environ: Mapping[str, Any]) -> None:
        socket = environ.get(SOCKET_KEY)
        self._poll: select.poll | None = None
        if socket is not None and socket.fileno() >= 0:
            self._poll = select.poll()
            self._poll.register(socket.fileno(), select.POLLRDHUP)

    def check(self) -> None:
        """Raise ClientGoneError if the client has gone; never waits."""
        if self._poll is None:
            return
        if any(events & _GONE for _, events in self._poll.poll(0)):
            raise ClientGoneError("the client closed the connection")
