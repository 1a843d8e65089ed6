"""Requests that arrive with TLS, without a thread that waits for them."""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from gunicorn.config import Config
from gunicorn.workers.gthread import TConn

from pyserve.web.connection.arrivals import Arrivals
from pyserve.web.connection.deadlines import ClientTimeouts
from pyserve.web.connection.incoming import Encrypted
from tests.support.certificates import make_certificate, needs_openssl

pytestmark = needs_openssl
WHOLE = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    directory: Path = tmp_path_factory.mktemp("tls")
    cert, key = make_certificate(directory, "used")
    config = Config()
    config.set("certfile", str(cert))
    config.set("keyfile", str(key))
    return config


class Bench:
    """A front's connection and its client, whose bytes are carried by hand."""

    def __init__(self, config: Config) -> None:
        self.client, server = socket.socketpair()
        self.client.setblocking(False)
        self.connection = TConn(config, server, ("127.0.0.1", 1), ("127.0.0.1", 2))
        self.dispatched: list[TConn] = []
        self.failed: list[OSError] = []
        self.ended: list[bytes] = []
        self.now_s = 0.0
        self._poller = selectors.DefaultSelector()
        self._to_server, self._to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        trust = ssl._create_unverified_context()
        self.tls = trust.wrap_bio(self._to_client, self._to_server)
        self.arrivals = Arrivals(
            self._poller,
            self.dispatched.append,
            lambda _connection, begin: self.ended.append(begin),
            ClientTimeouts(),
            clock=lambda: self.now_s,
            incoming=Encrypted,
            fail=lambda _connection, error: self.failed.append(error),
        )
        self.arrivals.take(self.connection)

    def carry(self, n_bytes: int | None = None) -> None:
        """What the client has said goes to the front, which then has its turn, and back."""
        said = self._to_server.read() if n_bytes is None else self._to_server.read(n_bytes)
        self.client.sendall(said)
        self.turn()
        with contextlib.suppress(BlockingIOError):
            self._to_client.write(self.client.recv(1 << 20))

    def turn(self) -> None:
        for key, _ in self._poller.select(0):
            key.data(key.fileobj)

    def shake_hands(self) -> None:
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.carry()
                continue
            self.carry()
            return

    def close(self) -> None:
        self.client.close()
        self.connection.sock.close()
        self._poller.close()


@pytest.fixture
def bench(config: Config) -> Iterator[Bench]:
    bench = Bench(config)
    yield bench
    bench.close()


def test_a_handshake_byte_by_byte_and_a_request_in_pieces_need_no_thread(bench: Bench) -> None:
    with pytest.raises(ssl.SSLWantReadError):
        bench.tls.do_handshake()
    for _ in range(50):
        bench.carry(1)
    bench.shake_hands()
    bench.tls.write(WHOLE[:9])
    bench.carry()
    bench.tls.write(WHOLE[9:-1])
    bench.carry(7)
    bench.carry()
    assert (bench.dispatched, bench.failed) == ([], [])
    bench.tls.write(WHOLE[-1:])
    bench.carry()
    assert bench.dispatched == [bench.connection]
    assert bench.connection.parser.unreader.buf.getvalue() == WHOLE


def test_what_is_no_tls_fails(bench: Bench) -> None:
    bench.client.sendall(WHOLE)
    bench.turn()
    assert [type(error) for error in bench.failed] == [ssl.SSLError]
    assert bench.dispatched == []


@pytest.mark.parametrize("has_begun", [False, True])
def test_who_stalls_is_ended_at_the_deadline(bench: Bench, has_begun: bool) -> None:
    bench.shake_hands()
    if has_begun:
        bench.tls.write(WHOLE[:9])
        bench.carry()
    bench.now_s = ClientTimeouts().header_s
    bench.arrivals.expire(is_stopping=False)
    assert bench.dispatched == []
    assert [bool(begin) for begin in bench.ended] == [has_begun]


def test_a_client_that_leaves_gets_a_thread_that_notices(bench: Bench) -> None:
    bench.shake_hands()
    bench.client.close()
    bench.turn()
    assert bench.dispatched == [bench.connection]
