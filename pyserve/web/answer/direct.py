"""Writes the frames of a streamed answer from the thread that reads the engine's events.

A stream has a thread of its own, which gunicorn waits for. To wake it up for every token costs more
than the token: with 32 streams, 32 threads take turns at the interpreter in every step. So while
nothing but plain text comes, the thread that reads the events of a step writes them to all clients,
one after the other, and never waits for one: what a client does not take at once is left to its
stream's own thread, as is everything that is not plain text.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from pyserve.engine.events import Delta
from pyserve.engine.streams.stream import RequestStream
from pyserve.web.answer.sse import Bypass
from pyserve.web.request.disconnect import SOCKET_KEY, ClientGoneError

FLAGS = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL

Frame = Callable[[Delta], bytes | None]


class DirectLane:
    """The way from one stream to its client's socket, past the stream's thread.

    Thread: `open` and `close` are the stream's own thread's, which writes to the socket only while
    the lane is closed. In between the thread that reads the engine's events writes.

    The response is in chunks of HTTP/1.1. write_timeout_s: how long the client may take for what it
    did not take at once. sent_at: when something was last written here.
    """

    def __init__(self, client: socket.socket, write_timeout_s: float) -> None:
        self.sent_at = 0.0
        self._client = client
        self._write_timeout_s = write_timeout_s
        self._stream: RequestStream | None = None
        self._rest = b""

    def open(self, stream: RequestStream, frame: Frame) -> None:
        """From now on deltas of which `frame` makes bytes are written as they come.

        The first one that it makes none of closes the lane, as does whatever else happens.
        """
        self._stream = stream

        def write(delta: Delta) -> bool:
            try:
                data = frame(delta)
            except Exception:  # the stream's own thread makes it again, and says what is wrong
                return False
            return data is not None and self._write(data)

        stream.divert(write)

    def close(self) -> None:
        """Write no more; then what was begun is written to its end. May come twice.

        Raises ClientGoneError when the client does not take it in time.
        """
        if self._stream is not None:
            self._stream.divert(None)
            self._stream = None
        if self._rest:
            self._write_rest()

    @property
    def is_behind(self) -> bool:
        """Whether the client did not take all that was written: `close` writes the rest."""
        return bool(self._rest)

    def _write(self, data: bytes) -> bool:
        """Whether the frame is written, or begun: then the rest of it is kept. Never waits."""
        if self._rest:
            return False
        data = b"%X\r\n%b\r\n" % (len(data), data)
        try:
            n_sent = self._client.send(data, FLAGS)
        except OSError:  # it is full, or the client has gone: the stream's own thread will see
            return False
        self.sent_at = time.monotonic()
        self._rest = data[n_sent:]
        return True

    def _write_rest(self) -> None:
        ends_at = time.monotonic() + self._write_timeout_s
        poll = select.poll()
        poll.register(self._client.fileno(), select.POLLOUT)
        try:
            while self._rest:
                left_ms = 1000 * (ends_at - time.monotonic())
                if left_ms <= 0 or not poll.poll(left_ms):
                    raise TimeoutError("the client does not take its answer")
                with contextlib.suppress(BlockingIOError):
                    self._rest = self._rest[self._client.send(self._rest, FLAGS) :]
        except OSError as error:
            self._rest = b""
            with contextlib.suppress(OSError):  # half a frame is there: nothing can follow
                self._client.shutdown(socket.SHUT_RDWR)
            raise ClientGoneError("the client closed the connection") from error


class StreamBypass(Bypass):
    """The lane of an answer with a single stream."""

    def __init__(self, lane: DirectLane, stream: RequestStream) -> None:
        self._lane = lane
        self._stream = stream

    @property
    def sent_at(self) -> float:  # type: ignore[override]
        return self._lane.sent_at

    @property
    def is_behind(self) -> bool:
        return self._lane.is_behind

    def open(self, plain: Callable[[int, Delta], bytes | None]) -> None:
        self._lane.open(self._stream, lambda delta: plain(0, delta))

    def close(self) -> None:
        self._lane.close()

    def stop(self) -> None:
        with contextlib.suppress(ClientGoneError):
            self._lane.close()


def direct_lane(environ: Mapping[str, Any], write_timeout_s: float) -> DirectLane | None:
    """That of the current request; None where its response is no plain socket's, or not in chunks.

    Source: gunicorn answers in chunks what has no length, to HTTP/1.1 and methods that get a body.
    """
    client: Any = environ.get(SOCKET_KEY)
    is_plain = type(client) is socket.socket  # of TLS it is a subclass
    is_chunked = environ.get("SERVER_PROTOCOL") == "HTTP/1.1"
    return DirectLane(client, write_timeout_s) if is_plain and is_chunked else None
