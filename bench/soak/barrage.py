"""Requests from one thread, for as little as can be of the machine that the server runs on.

A client wakes up once for an answer, when the server has ended it; answers are judged after the
last one. They have to fit into the buffer of a socket.
"""

from __future__ import annotations

import random
import select
import socket
import time
from collections.abc import Callable, Sequence

from bench.soak.exchange import HOST, TIMEOUT_S, Result, Shot, judge_answer

N_READ_BYTES = 64 << 10

_Sent = tuple[socket.socket, Shot, Result]
_Answer = tuple[Shot, Result, bytes]


def closed_loop(
    port: int, n_clients: int, seconds: float, make: Callable[[], Shot]
) -> list[Result]:
    """So many clients, each sending its next request when it has the answer to the last."""
    barrage = _Barrage(port)
    ends_s = time.monotonic() + seconds
    for _ in range(n_clients):
        barrage.send(make())
    while barrage.n_sent:
        n_ended = barrage.collect(TIMEOUT_S)
        if time.monotonic() < ends_s:
            for _ in range(n_ended):
                barrage.send(make())
    return barrage.results()


def open_loop(port: int, shots: Sequence[Shot], per_s: float) -> list[Result]:
    """All `shots` at random times, however slowly the server answers.

    Answers are looked for when the next request is sent, so they seem a few milliseconds late.
    """
    barrage = _Barrage(port)
    rng = random.Random(1)
    next_s = time.monotonic()
    for shot in shots:
        time.sleep(max(next_s - time.monotonic(), 0.0))
        barrage.collect(0)
        barrage.send(shot)
        next_s += rng.expovariate(per_s)
    while barrage.n_sent:
        barrage.collect(TIMEOUT_S)
    return barrage.results()


class _Barrage:
    """Requests that were sent, and the answers that have come. One thread."""

    def __init__(self, port: int) -> None:
        self._address = (HOST, port)
        self._poll = select.epoll()
        self._sent: dict[int, _Sent] = {}
        self._answers: list[_Answer] = []

    @property
    def n_sent(self) -> int:
        """Requests that wait for their answers."""
        return len(self._sent)

    def send(self, shot: Shot) -> None:
        result = Result(shot.kind, time.monotonic())
        sock = socket.socket()
        self._sent[sock.fileno()] = (sock, shot, result)
        try:
            sock.connect(self._address)  # at once, while the server takes connections
            sock.sendall(shot.data)
            self._poll.register(sock, select.EPOLLRDHUP)
        except OSError as error:
            self._end(sock.fileno(), b"", error)

    def collect(self, wait_s: float) -> int:
        """Take the answers that have ended; their number. Gives up when none does in `wait_s`."""
        ready = self._poll.poll(wait_s)
        if not ready and wait_s:
            ready = [(fd, 0) for fd in self._sent]
        for fd, _ in ready:
            try:
                self._end(fd, _read(self._sent[fd][0]))
            except OSError as error:
                self._end(fd, b"", error)
        return len(ready)

    def results(self) -> list[Result]:
        """What became of all requests."""
        self._poll.close()
        for shot, result, data in self._answers:
            if not result.why:
                judge_answer(shot, data, result)
        return [result for _, result, _ in self._answers]

    def _end(self, fd: int, data: bytes, error: OSError | None = None) -> None:
        sock, shot, result = self._sent.pop(fd)
        sock.close()
        result.end_s = time.monotonic()
        result.why = f"{type(error).__name__}: {error}" if error else ""
        self._answers.append((shot, result, data))


def _read(sock: socket.socket) -> bytes:
    """The whole answer. Raises OSError when the server has not ended it, or broke it off."""
    parts = []
    while part := sock.recv(N_READ_BYTES, socket.MSG_DONTWAIT):
        parts.append(part)
    return b"".join(parts)
