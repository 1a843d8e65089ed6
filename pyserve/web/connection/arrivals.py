"""Parks connections whose request is still arriving, so that slow clients do not hold threads.

A Unix socket without TLS gets one when anything is there.

A connection gets a thread when its headers are complete, and the body too where that is small;
larger bodies are read by the thread, under its deadlines. With TLS the handshake comes before.
"""

from __future__ import annotations

import math
import re
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from pyserve.web.connection.deadlines import ClientTimeouts
from pyserve.web.connection.incoming import (
    MAX_HEAD_BYTES,
    MAX_WAITING_BODY_BYTES,
    Incoming,
    Plain,
)

MAX_LINE_BYTES = 4096
MAX_KEPT_BYTES = 512  # of what has come, which tells the path
STOP_IDLE_S = 2.0  # so long a worker that stops awaits the begin of a request, as for kept-alive
END_OF_HEAD = b"\r\n\r\n"
_REQUEST_LINE = re.compile(rb"[A-Z]+ [^ ]+ HTTP/1\.[01]\r")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,6})[ \t]*(?=\r\n)", re.IGNORECASE)
_OTHER_FRAMING = re.compile(rb"\r\n(?:transfer-encoding|expect):", re.IGNORECASE)


def n_missing(data: bytes) -> tuple[int, bool]:
    """The least number of bytes that have to follow `data`, and whether the headers are complete.

    0: give it a thread; it is a complete request, or malformed already.
    """
    line, end, _ = data.partition(b"\n")
    is_no_method = bool(data) and not data[:1].isupper()
    if is_no_method or (end and not _REQUEST_LINE.fullmatch(line)) or len(line) > MAX_LINE_BYTES:
        return 0, False
    head_end = data.find(END_OF_HEAD)
    if head_end < 0:
        return int(len(data) < MAX_HEAD_BYTES), False
    head = data[: head_end + 2]
    lengths = _LENGTH.findall(head)
    if len(lengths) != 1 or int(lengths[0]) > MAX_WAITING_BODY_BYTES or _OTHER_FRAMING.search(head):
        return 0, True
    n_whole = head_end + len(END_OF_HEAD) + int(lengths[0])
    return max(n_whole - len(data), 0), True


def is_whole(data: bytes) -> bool:
    """Whether `data` is exactly one request whose body has a Content-Length."""
    head, end, body = data.partition(END_OF_HEAD)
    lengths = _LENGTH.findall(head + END_OF_HEAD)
    is_plain = bool(end) and len(lengths) == 1 and not _OTHER_FRAMING.search(head)
    return is_plain and int(lengths[0]) == len(body)


@dataclass
class _Arrival:
    """begin: of what was there at the last look.

    deadline_s: of the monotonic clock. has_head: the deadline is that of the body.
    """

    connection: Any
    incoming: Incoming
    deadline_s: float
    begin: bytes = b""
    has_head: bool = False

    def data(self) -> bytes:
        """What is there now; nothing where that cannot be known."""
        try:
            return self.incoming.look()[0]
        except OSError:
            return b""


class Arrivals:
    """Parked connections of one worker. Thread: the worker's main loop.

    A connection is gunicorn's `TConn`; what matters is its non-blocking `sock`.
    dispatch: gives one a thread. end: closes one; with the begin of what its client has sent.
    answer: may answer a request without a thread, and close its connection; whether it did.
    fail: ends one of which nothing can be known; a thread notices by itself if there is none.
    """

    def __init__(
        self,
        poller: selectors.BaseSelector,
        dispatch: Callable[[Any], None],
        end: Callable[[Any, bytes], None],
        timeouts: ClientTimeouts,
        clock: Callable[[], float] = time.monotonic,
        answer: Callable[[Any, bytes], bool] = lambda _connection, _data: False,
        incoming: Callable[[Any], Incoming] = Plain,
        fail: Callable[[Any, OSError], None] | None = None,
    ) -> None:
        self._answer = answer
        self._incoming = incoming
        self._fail = fail
        self._poller = poller
        self._dispatch = dispatch
        self._end = end
        self._timeouts = timeouts
        self._clock = clock
        self._waiting: dict[socket.socket, _Arrival] = {}
        self._idle_until_s = math.inf  # of the clock

    def take(self, connection: Any) -> None:
        """Dispatch a connection now, or as soon as its request has arrived."""
        deadline_s = self._clock() + self._timeouts.header_s
        self._look(_Arrival(connection, self._incoming(connection), deadline_s))

    def expire(self, *, is_stopping: bool) -> None:
        """Close connections past their deadline, and some time after stopping also idle ones.

        A connection whose request has arrived is dispatched: this loop was late, not its client.
        """
        now_s = self._clock()
        if is_stopping:  # a client that has just been accepted is about to send
            self._idle_until_s = min(self._idle_until_s, now_s + STOP_IDLE_S)
        for arrival in list(self._waiting.values()):
            is_idle = not arrival.begin and self._idle_until_s <= now_s
            if arrival.deadline_s <= now_s or is_idle:
                self._forget(arrival)
                data = arrival.data()
                if n_missing(data)[0] == 0:
                    self._give(arrival)
                elif data and arrival.deadline_s > now_s:
                    self._look(arrival)
                else:
                    self._end(arrival.connection, arrival.begin)

    def _on_readable(self, arrival: _Arrival, _client: socket.socket) -> None:
        self._forget(arrival)
        self._look(arrival)

    def _look(self, arrival: _Arrival) -> None:
        try:
            data, is_over = arrival.incoming.look()
        except OSError as error:
            if self._fail is None:
                self._dispatch(arrival.connection)  # whoever reads it notices
            else:
                self._fail(arrival.connection, error)
            return
        n_more, has_head = n_missing(data)
        if n_more == 0 or is_over:
            if not self._answer(arrival.connection, data):
                self._give(arrival)
            return
        if has_head and not arrival.has_head:
            arrival.has_head = True
            arrival.deadline_s = self._clock() + self._timeouts.body_s
        arrival.begin = data[:MAX_KEPT_BYTES]
        self._wait(arrival, len(data) + n_more)

    def _give(self, arrival: _Arrival) -> None:
        arrival.incoming.release()
        self._dispatch(arrival.connection)

    def _wait(self, arrival: _Arrival, n_wanted: int) -> None:
        """Park until so many bytes may be there, or the client has closed its side."""
        sock = arrival.connection.sock
        arrival.incoming.want(n_wanted)
        self._waiting[sock] = arrival
        on_ready = partial(self._on_readable, arrival)
        self._poller.register(sock, arrival.incoming.events, on_ready)

    def _forget(self, arrival: _Arrival) -> None:
        sock = arrival.connection.sock
        del self._waiting[sock]
        self._poller.unregister(sock)
