"""Lingering close: an answered connection stays open until its client closes it too.

A connection closed with unread bytes is reset, and its client may lose the end of the answer
(RFC 9112, 9.6). gunicorn waits for the client in its main loop, where one client stops all others.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

LINGER_S = 2.0
MAX_UNREAD_BYTES = 64 << 10
_N_READ_BYTES = 16 << 10


@dataclass
class _Answered:
    """deadline_s: of the clock. n_unread: bytes that came after the request."""

    connection: Any
    deadline_s: float
    n_unread: int = 0

    def is_over(self) -> bool:
        """Whether the client has closed the connection, or sent more than is worth reading."""
        try:
            data = self.connection.sock.recv(_N_READ_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            return True
        self.n_unread += len(data)
        return not data or self.n_unread > MAX_UNREAD_BYTES


def _say_goodbye(sock: socket.socket) -> None:
    """Send TLS's own end of data, without which a client may take the answer for cut off."""
    if isinstance(sock, ssl.SSLSocket):
        with contextlib.suppress(ssl.SSLWantReadError):  # that of the client may come or not
            sock.unwrap()


class Lingering:
    """Thread: the worker's main loop. A connection is gunicorn's `TConn`.

    end: closes one. A client has LINGER_S and MAX_UNREAD_BYTES until that happens.
    """

    def __init__(
        self,
        poller: selectors.BaseSelector,
        end: Callable[[Any], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._poller = poller
        self._end = end
        self._clock = clock
        self._waiting: dict[socket.socket, _Answered] = {}  # the earliest deadline first

    def take(self, connection: Any) -> None:
        """Shut down our side of a connection that is not in the poller, and let it linger."""
        answered = _Answered(connection, self._clock() + LINGER_S)
        sock = connection.sock
        try:
            sock.setblocking(False)
            _say_goodbye(sock)
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._end(connection)
            return
        if answered.is_over():
            self._end(connection)
            return
        self._waiting[sock] = answered
        self._poller.register(sock, selectors.EVENT_READ, partial(self._on_readable, answered))

    def expire(self) -> None:
        """Close connections past their deadline."""
        now_s = self._clock()
        for answered in list(self._waiting.values()):
            if answered.deadline_s > now_s:
                break
            self._forget(answered)

    def _on_readable(self, answered: _Answered, _client: socket.socket) -> None:
        if answered.is_over():
            self._forget(answered)

    def _forget(self, answered: _Answered) -> None:
        del self._waiting[answered.connection.sock]
        self._poller.unregister(answered.connection.sock)
        self._end(answered.connection)
