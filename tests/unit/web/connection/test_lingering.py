"""Connections that are answered, and that their clients have not closed yet."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from pyserve.web.connection.lingering import LINGER_S, MAX_UNREAD_BYTES, Lingering


class Bench:
    """Lingering over a real connection, with a clock of its own."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.n_ended = 0
        self.client, self.accepted = socket.socketpair()
        self._poller = selectors.DefaultSelector()
        self.lingering = Lingering(self._poller, self._end, clock=lambda: self.now_s)

    def take(self) -> None:
        self.lingering.take(SimpleNamespace(sock=self.accepted))

    def run(self) -> None:
        for key, _ in self._poller.select(0):
            key.data(key.fileobj)
        self.lingering.expire()

    @property
    def n_polled(self) -> int:
        return len(self._poller.get_map())

    def _end(self, connection: SimpleNamespace) -> None:
        self.n_ended += 1
        connection.sock.close()

    def close(self) -> None:
        for sock in (self.client, self.accepted, self._poller):
            sock.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


def test_the_client_sees_the_end_and_has_time_to_close(bench) -> None:
    bench.accepted.sendall(b"answer")
    bench.take()
    bench.run()
    assert bench.client.recv(100) == b"answer"
    assert bench.client.recv(100) == b""
    assert (bench.n_ended, bench.n_polled) == (0, 1)
    bench.client.close()
    bench.run()
    assert (bench.n_ended, bench.n_polled) == (1, 0)


def test_one_that_is_closed_already_is_ended_at_once(bench) -> None:
    bench.client.close()
    bench.take()
    assert (bench.n_ended, bench.n_polled) == (1, 0)


def test_one_whose_socket_is_gone_is_ended_at_once(bench) -> None:
    bench.accepted.close()
    bench.take()
    assert (bench.n_ended, bench.n_polled) == (1, 0)


def test_a_client_that_keeps_it_open_has_its_time(bench) -> None:
    bench.take()
    bench.now_s = LINGER_S - 0.1
    bench.run()
    assert bench.n_ended == 0
    bench.now_s = LINGER_S
    bench.run()
    assert (bench.n_ended, bench.n_polled) == (1, 0)


def test_what_is_sent_too_late_is_read_and_not_without_end(bench) -> None:
    n_sent = 0
    bench.take()
    while bench.n_ended == 0:
        n_sent += bench.client.send(b"x" * 4096)
        bench.run()
    assert MAX_UNREAD_BYTES < n_sent <= MAX_UNREAD_BYTES + 16384
