"""Requests that are refused without a thread."""

from __future__ import annotations

import fcntl
import json
import selectors
import socket
import termios
import time
from types import SimpleNamespace

import pytest

from pyserve.web.connection.arrivals import Arrivals
from pyserve.web.connection.deadlines import ClientTimeouts
from pyserve.web.connection.overload import N_NAMED, REPORT_EVERY_S, Refusals
from pyserve.web.connection.worker import Worker
from tests.support.clocks import Clock
from tests.support.front import CHAT, COMPLETIONS, chat_body, counted
from tests.support.limits import SOON_S

KEY = "sk-the-only-key"


def raw(path, body, *headers, method="POST"):
    data = json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {len(data)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


@pytest.fixture
def full(start):
    """A front with no place left."""

    def full_front(**settings):
        front = start(max_streams=1, **settings)
        front.stream_limit.acquire()
        return front

    return full_front


def parts_of(front):
    return front.app.extensions["pyserve"]


@pytest.mark.parametrize(("path", "status"), [(CHAT, 503), ("/v1/messages", 529)])
def test_the_answer_is_that_of_the_application(full, path, status):
    front = full()
    headers, _, body = (
        Refusals(parts_of(front))
        .turn_away(raw(path, chat_body(), "X-Request-Id: mine"))
        .partition(b"\r\n\r\n")
    )
    response = front.post(path, chat_body(), headers={"X-Request-Id": "mine"})
    assert body == response.data
    assert headers.startswith(f"HTTP/1.1 {response.status_code} ".encode())
    names = {"X-Request-Id", "Retry-After", "Content-Type", "Content-Length"}
    for name in names | ({"Request-Id"} & set(response.headers.keys())):
        assert f"\r\n{name}: {response.headers[name]}".encode() in headers
    assert counted(front, "errors") == {"queue_full": 2}
    assert counted(front, "http_responses") == {str(status): 2}


@pytest.mark.parametrize("prefix", ["", "/v1", "/v1/engines/tiny"])
@pytest.mark.parametrize("path", ["/chat/completions", "/completions?x=1", "/embeddings"])
def test_all_that_generates_is_turned_away(full, prefix, path):
    assert Refusals(parts_of(full())).turn_away(raw(prefix + path, {})) is not None


@pytest.mark.parametrize(
    "data",
    [
        raw("/v1/models", {}),
        raw("/v1/models/load", {}),
        raw("/v1/chat/completions/input_tokens", {}),
        raw(CHAT, {}, method="OPTIONS"),
        raw(CHAT, {}) + b"more",
        raw(CHAT, {}, "Transfer-Encoding: chunked"),
        raw(CHAT, {}, "Origin: http://page.example"),
        b"",
    ],
)
def test_everything_else_is_for_the_application(full, data):
    assert Refusals(parts_of(full())).turn_away(data) is None


def test_nothing_is_turned_away_while_there_is_a_place(start):
    assert Refusals(parts_of(start(max_streams=1))).turn_away(raw(CHAT, chat_body())) is None


@pytest.mark.parametrize(
    ("headers", "is_known"),
    [
        ((), False),
        (("Authorization: Bearer other-key-123",), False),
        ((f"authorization: bearer {KEY}",), True),
        ((f"X-Api-Key: {KEY}",), True),
        ((f"Authorization: Basic {KEY}",), False),
    ],
)
def test_strangers_are_for_the_application(full, headers, is_known):
    answer = Refusals(parts_of(full(api_key=[KEY]))).turn_away(
        raw(COMPLETIONS, {"prompt": "a"}, *headers)
    )
    assert (answer is not None) is is_known


def test_the_first_of_a_second_are_logged_by_name_and_the_others_by_number(full, caplog):
    clock, front = Clock(), full(log_format="json")
    refusals = Refusals(parts_of(front), clock)
    caplog.set_level("INFO")

    def lines():
        names = [getattr(record, "fields", {}).get("request_id") for record in caplog.records]
        said = [
            name or record.getMessage() for name, record in zip(names, caplog.records, strict=True)
        ]
        caplog.clear()
        return [text for text in said if not text.startswith("request ")]

    def refuse(n):
        for i in range(n):
            refusals.turn_away(raw(CHAT, chat_body(), f"X-Request-Id: id{i}"))

    refuse(N_NAMED + 7)
    assert lines() == [f"id{i}" for i in range(N_NAMED)]
    clock.now_s = REPORT_EVERY_S
    refusals.report()
    assert lines() == ["7 more requests refused under overload"]
    refuse(1)
    clock.now_s *= 3
    refusals.report()
    assert lines() == ["id0"]
    refuse(N_NAMED + 2)
    refusals.report()
    assert lines() == [f"id{i}" for i in range(N_NAMED)]
    refusals.report(is_last=True)
    assert lines() == ["2 more requests refused under overload"]
    n_all = 2 * N_NAMED + 10
    assert counted(front, "http_responses") == {"503": n_all}
    assert counted(front, "errors") == {"queue_full": n_all}


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setblocking(False)
        yield sock


def connected(listener):
    """A client whose request has reached the server's side."""
    client = socket.create_connection(listener.getsockname(), timeout=SOON_S)
    client.sendall(raw(CHAT, chat_body()))
    while any(fcntl.ioctl(client, termios.TIOCOUTQ, bytes(4))):
        time.sleep(0.001)
    return client


def accept(listener, front, dispatched):
    """A worker after one turn."""
    worker = Worker.__new__(Worker)
    worker.cfg, worker.nr_conns = SimpleNamespace(is_ssl=False), 0
    worker._refusals, worker._prefix = Refusals(parts_of(front)), ""
    with selectors.DefaultSelector() as poller:
        worker._arrivals = Arrivals(
            poller,
            dispatched.append,
            lambda _connection, _has_begun: None,
            ClientTimeouts(1, 1, 1),
            answer=worker._turn_away,
        )
        worker.accept(listener)
    return worker


def test_a_turn_takes_all_that_are_turned_away(full, listener):
    clients, dispatched = [connected(listener) for _ in range(5)], []
    worker = accept(listener, full(), dispatched)
    assert (worker.nr_conns, dispatched) == (0, [])
    assert [worker._refusals.end_turn(), worker._refusals.end_turn()] == [True, False]
    for client in clients:
        with client:
            assert client.recv(12) == b"HTTP/1.1 503"


def test_a_turn_takes_one_that_is_not(start, listener):
    clients, dispatched = [connected(listener) for _ in range(5)], []
    worker = accept(listener, start(max_streams=1), dispatched)
    assert worker.nr_conns == len(dispatched) == 1
    assert not worker._refusals.end_turn()
    for connection in [*dispatched, *clients]:
        connection.close()
