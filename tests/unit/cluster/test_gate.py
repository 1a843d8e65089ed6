from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyserve.cluster.gate import MAGIC, N_PROOF, N_RANDOM, Gate, enter
from pyserve.process.sockets import listen
from tests.support.limits import SOON_S
from tests.support.server import wait_until

HOST = "127.0.0.1"
TOKEN = b"t" * 32
BIG = bytes(range(256)) * 40_000


class Engine:
    """A Unix socket that a test answers at by hand."""

    def __init__(self, directory: Path) -> None:
        directory.chmod(0o700)
        self.path = directory / "engine.sock"
        self._listener = listen(self.path)
        self._listener.setblocking(True)
        self._listener.settimeout(SOON_S)
        self.is_there = True
        self.gate = Gate(HOST, TOKEN, lambda: self.path if self.is_there else None)

    def accept(self) -> socket.socket:
        connection, _ = self._listener.accept()
        connection.settimeout(SOON_S)
        return connection

    def close(self) -> None:
        self.gate.close()
        self._listener.close()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(tmp_path)
    yield engine
    engine.close()


def stranger(engine: Engine) -> socket.socket:
    return socket.create_connection((HOST, engine.gate.port), timeout=SOON_S)


def everything(connection: socket.socket) -> bytes:
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while more := connection.recv(65536):
            data += more
    return data


def receive(connection: socket.socket, n_bytes: int) -> bytes:
    data = b""
    while len(data) < n_bytes:
        data += connection.recv(n_bytes - len(data))
    return data


def test_who_knows_the_token_speaks_with_the_engine_both_ways(engine):
    with enter(HOST, engine.gate.port, TOKEN) as front, engine.accept() as inner:
        front.settimeout(SOON_S)
        front.sendall(b"hello")
        assert receive(inner, 5) == b"hello"
        inner.sendall(b"back")
        assert receive(front, 4) == b"back"
        assert engine.gate.n_fronts == 1
        front.sendall(BIG[:100_000])
        assert receive(inner, 100_000) == BIG[:100_000]
    wait_until(lambda: engine.gate.n_fronts == 0, SOON_S, "the front has gone")


def test_the_end_of_either_side_is_the_end_of_the_other(engine):
    with enter(HOST, engine.gate.port, TOKEN) as front, engine.accept() as inner:
        front.close()
        assert everything(inner) == b""
    with enter(HOST, engine.gate.port, TOKEN) as front, engine.accept() as inner:
        inner.close()
        front.settimeout(SOON_S)
        assert everything(front) == b""
    with enter(HOST, engine.gate.port, TOKEN) as front, engine.accept() as inner:
        front.settimeout(SOON_S)
        engine.gate.close()
        assert everything(front) == everything(inner) == b""


@pytest.mark.parametrize(
    "said", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 9, b"\0" * (N_RANDOM + N_PROOF)]
)
def test_a_stranger_gets_no_further_than_the_greeting(engine, said):
    with stranger(engine) as connection:
        connection.sendall(said)
        if not said:
            connection.shutdown(socket.SHUT_WR)
        heard = everything(connection)
    assert len(heard) <= len(MAGIC) + N_RANDOM
    with pytest.raises(ConnectionError):
        enter(HOST, engine.gate.port, b"wrong" * 8)
    with enter(HOST, engine.gate.port, TOKEN), engine.accept():
        wait_until(lambda: engine.gate.n_fronts == 1, SOON_S, "the first one is let through")


@pytest.mark.parametrize(
    ("greeting", "complaint"),
    [(b"SSH-2.0-OpenSSH_9.6\r\n" * 3, "no gate"), (MAGIC + b"r" * N_RANDOM, "the token")],
)
def test_a_front_tells_a_gate_from_what_only_looks_like_one(greeting, complaint):
    with socket.create_server((HOST, 0)) as server:

        def pretend() -> None:
            with server.accept()[0] as peer:
                peer.sendall(greeting + b"p" * N_PROOF)
                everything(peer)

        thread = threading.Thread(target=pretend)
        thread.start()
        with pytest.raises(OSError, match=complaint):
            enter(HOST, server.getsockname()[1], TOKEN)
        thread.join(SOON_S)


def test_without_an_engine_a_front_is_sent_away_at_once(engine):
    engine.is_there = False
    with pytest.raises(ConnectionError):
        enter(HOST, engine.gate.port, TOKEN)
