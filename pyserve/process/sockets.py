"""Unix stream sockets for this user only, and non-blocking writing to them."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections import deque
from pathlib import Path

MAX_QUEUED_BYTES = 64 << 20
BACKLOG = 64
RECV_BYTES = 1 << 16  # less than what glibc maps and unmaps for every single call
_UCRED = struct.Struct("3i")


def listen(path: Path) -> socket.socket:
    """A non-blocking listener at `path` (mode 0600). Its directory must be the user's own, 0700.

    Replaces what is at `path`: a killed process leaves its socket file.
    Raises OSError, PermissionError if others could get at the directory.
    """
    status = path.parent.stat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise PermissionError(f"{path.parent} must belong to this user with mode 0700")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def connect(path: Path) -> socket.socket:
    """A blocking connection to `path`. Raises OSError, also if another user serves it."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(path))
        if not is_same_user(connection):
            raise PermissionError(f"{path} is served by another user")
    except BaseException:
        connection.close()
        raise
    return connection


def is_same_user(connection: socket.socket) -> bool:
    """Whether the process at the other end runs as this user (SO_PEERCRED)."""
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    _pid, uid, _gid = _UCRED.unpack(data)
    return bool(uid == os.getuid())


class Outbox:
    """Writes to a non-blocking socket at once what it takes, and keeps the rest for `flush`.

    Thread: any thread may call any method.
    """

    def __init__(
        self, connection: socket.socket, *, max_queued_bytes: int = MAX_QUEUED_BYTES
    ) -> None:
        self._connection = connection
        self._max_queued_bytes = max_queued_bytes
        self._lock = threading.Lock()
        self._queue: deque[memoryview] = deque()
        self._n_queued_bytes = 0

    @property
    def is_waiting(self) -> bool:
        """Whether something is queued: call `flush` when the socket can be written to."""
        return self._n_queued_bytes > 0

    def send(self, data: bytes) -> None:
        """Send, or queue what the socket does not take.

        Raises BufferError when more than the cap would be queued, OSError when the peer is gone;
        the connection must be closed then.
        """
        with self._lock:
            self._queue.append(memoryview(data))
            self._n_queued_bytes += len(data)
            self._write()
            if self._n_queued_bytes > self._max_queued_bytes:
                raise BufferError(f"{self._n_queued_bytes:,} bytes wait for a slow peer")

    def flush(self) -> None:
        """Send more of what is queued. Raises OSError."""
        with self._lock:
            self._write()

    def _write(self) -> None:
        while self._queue:
            try:
                n_sent = self._connection.send(self._queue[0])
            except BlockingIOError:
                return
            self._n_queued_bytes -= n_sent
            rest = self._queue.popleft()[n_sent:]
            if rest:
                self._queue.appendleft(rest)
