"""Connections whose requests are still arriving."""

from __future__ import annotations

import contextlib
import itertools
import selectors
import socket
from collections.abc import Iterator

import pytest

from pyserve.web.connection.arrivals import STOP_IDLE_S, Arrivals, is_whole, n_missing
from pyserve.web.connection.deadlines import ClientTimeouts
from pyserve.web.connection.incoming import MAX_HEAD_BYTES, MAX_WAITING_BODY_BYTES

TIMEOUTS = ClientTimeouts()

LINE = b"POST /v1/completions HTTP/1.1\r\n"
HEAD = LINE + b"Host: x\r\nContent-Length: 10\r\n\r\n"
WHOLE = HEAD + b"x" * 10


class Connection:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock


class Bench:
    """Arrivals over real connections, with a clock of its own."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.dispatched: list[Connection] = []
        self.ended: list[bytes] = []
        self.answered: list[bytes] = []
        self._poller = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.arrivals = Arrivals(
            self._poller,
            self.dispatched.append,
            lambda _connection, begin: self.ended.append(begin),
            TIMEOUTS,
            clock=lambda: self.now_s,
            answer=lambda _connection, data: data in self.answered,
        )

    def connect(self, data: bytes = b"") -> tuple[socket.socket, Connection]:
        client = socket.create_connection(self._listener.getsockname())
        accepted, _ = self._listener.accept()
        accepted.setblocking(False)
        self._open += [client, accepted]
        if data:
            client.sendall(data)
            with contextlib.suppress(BlockingIOError):
                select_readable(accepted)
        connection = Connection(accepted)
        self.arrivals.take(connection)
        return client, connection

    def run(self, timeout_s: float) -> int:
        """One turn of the loop; how many connections had something to say."""
        events = self._poller.select(timeout_s)
        for key, _ in events:
            key.data(key.fileobj)
        return len(events)

    def close(self) -> None:
        for sock in [*self._open, self._listener, self._poller]:
            sock.close()


def select_readable(sock: socket.socket) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        selector.select(5)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", (1, False)),
        (b"PO", (1, False)),
        (LINE, (1, False)),
        (HEAD[:-1], (1, False)),
        (HEAD, (10, True)),
        (HEAD + b"xxx", (7, True)),
        (WHOLE, (0, True)),
        (WHOLE + b"GET ", (0, True)),
        (LINE + b"Host: x\r\n\r\n", (0, True)),
        (LINE + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n", (0, True)),
        (LINE + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", (0, True)),
        (LINE + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", (0, True)),
        (LINE + b"Content-Length: %d\r\n\r\n" % (MAX_WAITING_BODY_BYTES + 1), (0, True)),
        (LINE + b"Content-Length: -1\r\n\r\n", (0, True)),
        (LINE + b"Content-Length: 99999999999\r\n\r\n", (0, True)),
        (b"what is this\r\n", (0, False)),
        (b"\x16\x03\x01", (0, False)),
        (b"GET / HTTP/1.1\nHost: x\n\n", (0, False)),
        (b"GET /\r\n", (0, False)),
        (b"x" * 5000, (0, False)),
        (LINE + b"X: " + b"x" * MAX_HEAD_BYTES, (0, False)),
    ],
)
def test_how_much_is_missing(data: bytes, expected: tuple[int, bool]) -> None:
    assert n_missing(data) == expected


def test_a_whole_request_may_be_answered_without_a_thread(bench: Bench) -> None:
    bench.answered = [WHOLE]
    bench.connect(WHOLE)
    _, other = bench.connect(WHOLE + b"x")
    assert bench.dispatched == [other]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (WHOLE, True),
        (WHOLE[:-1], False),
        (WHOLE + b"x", False),
        (LINE + b"content-length: 0\r\n\r\n", True),
        (LINE + b"Host: x\r\n\r\n", False),
        (LINE + b"Content-Length: 0\r\nExpect: 100-continue\r\n\r\n", False),
        (LINE + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n", False),
    ],
)
def test_what_is_a_whole_request(data: bytes, expected: bool) -> None:
    assert is_whole(data) is expected


def test_a_whole_request_is_dispatched_at_once(bench: Bench) -> None:
    _, connection = bench.connect(WHOLE)
    assert bench.dispatched == [connection]


def test_a_request_in_pieces_is_dispatched_when_it_is_whole(bench: Bench) -> None:
    client, connection = bench.connect()
    for begin, end in itertools.pairwise((0, 5, len(LINE), len(HEAD), len(WHOLE) - 1)):
        client.sendall(WHOLE[begin:end])
        bench.run(0.05)
        assert bench.dispatched == []
    client.sendall(WHOLE[-1:])
    while not bench.dispatched:
        assert bench.run(5)
    assert connection.sock.recv(4096) == WHOLE  # nothing was taken from it
    assert connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == 1


def test_waiting_for_the_rest_costs_no_turns_of_the_loop(bench: Bench) -> None:
    client, _ = bench.connect(HEAD)
    client.sendall(b"xxx")
    assert bench.run(0.05) == 0
    assert bench.run(0.05) == 0


@pytest.mark.parametrize("data", [b"", LINE, HEAD])
def test_a_client_that_leaves_is_dispatched_for_its_end_to_be_noticed(
    bench: Bench, data: bytes
) -> None:
    client, connection = bench.connect(data)
    client.close()
    while not bench.dispatched:
        assert bench.run(5)
    assert bench.dispatched == [connection]


@pytest.mark.parametrize(
    ("data", "limit_s"),
    [(b"", TIMEOUTS.header_s), (LINE, TIMEOUTS.header_s), (HEAD, TIMEOUTS.body_s)],
)
def test_slow_clients_have_a_deadline(bench: Bench, data: bytes, limit_s: float) -> None:
    bench.connect(data)
    bench.now_s = limit_s - 0.1
    bench.arrivals.expire(is_stopping=False)
    assert bench.ended == []
    bench.now_s = limit_s
    bench.arrivals.expire(is_stopping=False)
    assert bench.ended == [data]
    bench.arrivals.expire(is_stopping=False)
    assert len(bench.ended) == 1


def test_silent_clients_do_not_hold_up_the_end(bench: Bench) -> None:
    bench.connect()
    bench.connect(LINE)
    bench.arrivals.expire(is_stopping=True)
    bench.now_s = STOP_IDLE_S - 0.1
    bench.arrivals.expire(is_stopping=True)
    assert bench.ended == []  # a request may be on its way
    bench.now_s = STOP_IDLE_S
    bench.arrivals.expire(is_stopping=True)
    assert bench.ended == [b""]


def test_a_request_of_which_only_the_head_has_come_is_awaited_while_stopping(bench: Bench) -> None:
    client, connection = bench.connect()
    bench.arrivals.expire(is_stopping=True)
    client.sendall(HEAD)
    select_readable(connection.sock)
    bench.now_s = STOP_IDLE_S
    bench.arrivals.expire(is_stopping=True)
    assert bench.ended == []


@pytest.mark.parametrize("is_stopping", [False, True])
def test_a_request_that_has_come_is_not_ended_because_the_loop_was_busy(
    bench: Bench, is_stopping: bool
) -> None:
    client, connection = bench.connect()
    client.sendall(WHOLE)
    select_readable(connection.sock)
    bench.now_s = 1000.0
    bench.arrivals.expire(is_stopping=is_stopping)
    assert (bench.dispatched, bench.ended) == ([connection], [])


def test_a_client_of_a_unix_socket_gets_a_thread_when_it_begins(bench):
    client, accepted = socket.socketpair()
    with client, accepted:
        accepted.setblocking(False)
        connection = Connection(accepted)
        bench.arrivals.take(connection)
        assert bench.run(0) == 0
        client.sendall(LINE)
        bench.run(1)
        assert bench.dispatched == [connection]
