"""What has come of a request on a connection that nobody reads yet, with TLS and without.

Without TLS the kernel keeps it, and can be asked to wait for more. With TLS it is taken through the
handshake and decrypted here, without waiting, and given to who reads the connection afterwards.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
from typing import Any, Protocol

from gunicorn.http import get_parser  # type: ignore[import-untyped]
from gunicorn.sock import ssl_wrap_socket  # type: ignore[import-untyped]

MAX_HEAD_BYTES = 64 << 10
MAX_WAITING_BODY_BYTES = 32 << 10
MAX_BYTES = MAX_HEAD_BYTES + MAX_WAITING_BODY_BYTES
_N_READ_BYTES = 16 << 10  # what one record of TLS holds


class Incoming(Protocol):
    """The bytes that have come. Thread: the worker's main loop.

    events: what to wait for until there may be more, of `selectors`.
    """

    events: int

    def look(self) -> tuple[bytes, bool]:
        """All that has come, up to a limit, and whether to wait for no more. Raises OSError."""
        ...

    def want(self, n_bytes: int) -> None:
        """So many make it worth looking again; 1: any."""
        ...

    def release(self) -> None:
        """Somebody else reads the connection from now on."""
        ...


class Plain:
    """Implements `Incoming` for a connection without TLS: the bytes stay where they are."""

    events = selectors.EVENT_READ

    def __init__(self, connection: Any) -> None:
        self._sock: socket.socket = connection.sock
        self._n_wanted = 1

    def look(self) -> tuple[bytes, bool]:
        try:
            data = self._sock.recv(MAX_BYTES, socket.MSG_PEEK)
        except BlockingIOError:
            return b"", False
        if data and self._sock.family == socket.AF_UNIX:
            return data, True  # where the kernel cannot wait for a number of bytes
        return data, len(data) < self._n_wanted  # it woke up for fewer: that is all

    def want(self, n_bytes: int) -> None:
        self._n_wanted = n_bytes
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, n_bytes)

    def release(self) -> None:
        if self._n_wanted > 1:
            self.want(1)


class Encrypted:
    """Implements `Incoming` for gunicorn's `TConn` with TLS, of a context of gunicorn's."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._data = bytearray()
        self.events = selectors.EVENT_READ

    def look(self) -> tuple[bytes, bool]:
        connection = self._connection
        self.events = selectors.EVENT_READ
        try:
            if not connection.initialized:
                self._shake_hands()
            while len(self._data) < MAX_BYTES:
                data = connection.sock.recv(_N_READ_BYTES)
                self._data += data
                if not data:
                    return bytes(self._data), True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLWantWriteError:
            self.events = selectors.EVENT_WRITE
        return bytes(self._data), False

    def want(self, n_bytes: int) -> None:
        """The kernel knows nothing of what it will be once it is decrypted."""

    def release(self) -> None:
        if self._connection.initialized:
            self._connection.parser.unreader.unread(bytes(self._data))

    def _shake_hands(self) -> None:
        connection = self._connection
        if not isinstance(connection.sock, ssl.SSLSocket):
            connection.sock = ssl_wrap_socket(connection.sock, connection.cfg)
            connection.sock.setblocking(False)
        connection.sock.do_handshake()
        connection.parser = get_parser(connection.cfg, connection.sock, connection.client)
        connection.initialized = True


def send_now(sock: socket.socket, data: bytes) -> None:
    """Send as much as the kernel takes at once, to a client that may have gone."""
    with contextlib.suppress(OSError):
        if isinstance(sock, ssl.SSLSocket):
            sock.send(data)
        else:
            sock.send(data, socket.MSG_DONTWAIT)
