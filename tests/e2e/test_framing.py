"""What is no HTTP request, sent to a real front."""

from __future__ import annotations

import json
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import ServerProcess

SOON_S = 20.0
CLOSE = b"Connection: close\r\n\r\n"
POST = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def shared_server() -> Iterator[ServerProcess]:
    directory = Path(tempfile.mkdtemp(prefix="ps-"))
    with ServerProcess(directory, ["--engine", "fake"]).start() as server:
        yield server
    shutil.rmtree(directory)


def answer(server: ServerProcess, data: bytes) -> bytes:
    """Everything the server says to `data` until it closes the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=SOON_S) as raw:
        raw.sendall(data)
        parts = []
        while part := raw.recv(65536):
            parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"what is this\r\n\r\n", 400, "malformed_request"),
        (b"GET /health HTTP/1.1\r\nHost x\r\n\r\n", 400, "malformed_request"),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", 414, "uri_too_long"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", 431, "headers_too_large"),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100 + b"\r\n", 431, "headers_too_large"),
        (POST + b"Transfer-Encoding: frob\r\n\r\n", 501, "unsupported_transfer_coding"),
        (
            POST + b"Transfer-Encoding: gzip, chunked\r\n" + CLOSE,
            501,
            "unsupported_transfer_coding",
        ),
        (CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n", 400, "malformed_request"),
        (b"GET /health HTTP/1.1\r\n" + CLOSE, 400, "malformed_request"),
        (b"GET /health HTTP/1.1\r\nHost: x\r\nHost: y\r\n" + CLOSE, 400, "malformed_request"),
        (b"GET /health HTTP/1.1\r\nHost: evil.com\r\n" + CLOSE, 403, "host_not_allowed"),
        (b"GET http://evil.com/ HTTP/1.1\r\nHost: x\r\n" + CLOSE, 403, "host_not_allowed"),
        (POST + b"Content-Length: 5\r\n" + CHUNKED[len(POST) :], 400, "malformed_request"),
    ],
    ids=[
        "line",
        "header",
        "long line",
        "long header",
        "many headers",
        "coding",
        "two codings",
        "chunk",
        "no host",
        "two hosts",
        "foreign host",
        "foreign target",
        "length and chunks",
    ],
)
def test_malformed_requests_are_answered_in_the_openai_shape(shared_server, data, status, code):
    head, body = answer(shared_server, data).split(b"\r\n\r\n", 1)
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"application/json" in head
    error = json.loads(body)["error"]
    assert (error["type"] == "server_error") == (status >= 500)
    assert error["code"] == code
    assert shared_server.health() == 200
