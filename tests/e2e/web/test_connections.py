"""One connection, several requests: what keeps it usable, byte by byte."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator

import pytest

from tests.support.connection import Connection
from tests.support.server import ServerProcess

CHAT = "/v1/chat/completions"
HELLO = {"messages": [{"role": "user", "content": "hello big world"}]}


@pytest.fixture
def connection(calm_server: ServerProcess) -> Iterator[Connection]:
    connection = Connection(calm_server.port)
    yield connection
    connection.close()


def test_a_connection_is_usable_after_streams_errors_and_plain_answers(connection) -> None:
    for _ in range(2):
        status, headers, body = connection.ask("POST", CHAT, {**HELLO, "stream": True})
        assert (status, headers["content-type"][:17]) == (200, "text/event-stream")
        assert headers.get("connection", "keep-alive").lower() == "keep-alive"
        assert body.endswith(b"data: [DONE]\n\n")
        assert connection.ask("POST", CHAT, HELLO)[0] == 200
        assert connection.ask("POST", CHAT, {**HELLO, "n": 0})[0] == 400
        assert connection.ask("POST", CHAT, {**HELLO, "stream": True, "n": 0})[0] == 400
        assert connection.ask("GET", "/health")[0] == 200


@pytest.mark.parametrize(
    ("n_bytes", "expect", "is_kept"),
    [(60_000, b"", True), (70_000, b"", False), (5, b"Expect: 100-continue\r\n", False)],
)
def test_an_answer_says_whether_what_is_unread_ends_the_connection(
    connection, n_bytes, expect, is_kept
) -> None:
    head = b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n" % n_bytes
    connection.send_bytes(head + expect + b"\r\n" + b"x" * n_bytes * is_kept)
    status, headers, _ = connection.answer()
    assert (status, headers["connection"]) == (404, "keep-alive" if is_kept else "close")
    if is_kept:
        assert connection.ask("GET", "/health")[0] == 200
    else:
        assert connection.is_closed()


def test_a_connection_is_usable_after_a_stream_that_failed(connection) -> None:
    body = {"messages": [{"role": "user", "content": "a b c #fail=2"}], "stream": True}
    status, _, events = connection.ask("POST", CHAT, body)
    assert status == 200
    assert json.loads(events.split(b"\n\n")[-2].removeprefix(b"data: "))["error"]
    assert connection.ask("GET", "/health")[0] == 200


@pytest.mark.parametrize("path", ["/v1/models", "/health", "/"])
def test_head_has_the_headers_of_get_and_no_body(connection, path) -> None:
    _, expected, _ = connection.ask("GET", path)
    connection.send("HEAD", path)
    status, headers = connection.head()
    assert status == 200
    assert headers["content-type"] == expected["content-type"]
    assert connection.ask("GET", "/health")[0] == 200  # no byte of a body is in the way


@pytest.mark.parametrize("path", [CHAT, "/v1/nothing"])
def test_head_of_what_cannot_be_got_has_no_body_either(connection, path) -> None:
    connection.send("HEAD", path)
    assert connection.head()[0] in {404, 405}
    assert connection.ask("GET", "/health")[0] == 200


@pytest.mark.parametrize(
    ("path", "methods"), [(CHAT, {"POST", "OPTIONS"}), ("/health", {"GET", "HEAD", "OPTIONS"})]
)
def test_options_name_the_methods(connection, path, methods) -> None:
    status, headers, body = connection.ask("OPTIONS", path)
    assert (status, body) == (200, b"")
    assert {method.strip() for method in headers["allow"].split(",")} == methods


@pytest.mark.parametrize("begin", [b"", b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nX: "])
def test_clients_that_do_not_send_on_are_in_nobodys_way(calm_server, begin) -> None:
    with contextlib.ExitStack() as crowd:
        for _ in range(300):  # more than there are threads
            client = crowd.enter_context(socket.create_connection(("127.0.0.1", calm_server.port)))
            client.sendall(begin)
        assert calm_server.health() == 200


def test_clients_that_keep_answered_connections_open_are_in_nobodys_way(calm_server) -> None:
    with contextlib.ExitStack() as crowd:
        clients = [crowd.enter_context(Connection(calm_server.port)) for _ in range(100)]
        for client in clients:
            client.send_bytes(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        for client in clients:
            assert client.answer().status == 200
        assert calm_server.health() == 200
