"""What is no HTTP, or HTTP that asks for trouble, byte by byte."""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import Iterator

import pytest

from tests.hostile.conftest import CHAT, Target, error_in, rows
from tests.support.connection import Answer, Connection
from tests.support.limits import SOON_S
from tests.support.server import ServerProcess, served, wait_until

HOST, CLOSE, LENGTH = b"Host: x\r\n", b"Connection: close\r\n\r\n", b"Content-Length: "
END = b"\r\n"
JSON = b"Content-Type: application/json\r\n"
START = b"POST /v1/completions HTTP/1.1\r\n" + HOST
POST = START + JSON
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n" + CLOSE
BODY = b'{"model":"tiny","prompt":"hi","max_tokens":1}'
CUT_OFF = POST + LENGTH + b"100\r\n\r\n{}   "
MIB = 1 << 20
TIMEOUT_S = 1.0
MALFORMED, TOO_LARGE = (400, "malformed_request"), (413, "request_too_large")
CODING, HEADERS = (501, "unsupported_transfer_coding"), (431, "headers_too_large")
MEDIA, HOSTILE = (415, "unsupported_media_type"), (403, "host_not_allowed")
ORIGIN, NOT_ALLOWED = (403, "origin_not_allowed"), (405, "method_not_allowed")
UNKNOWN, NO_MODEL = (404, "unknown_url"), (404, "model_not_found")


def get(path: bytes = b"/health", *headers: bytes, host: bytes = HOST) -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\n" + host + b"".join(headers) + CLOSE


def post(*headers: bytes, body: bytes = BODY, start: bytes = START) -> bytes:
    return start + b"".join(headers) + LENGTH + b"%d\r\n" % len(body) + CLOSE + body


def chunks(body: bytes, n_bytes: int) -> bytes:
    parts = (body[i : i + n_bytes] for i in range(0, len(body), n_bytes))
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def method(name: bytes, path: bytes = b"/v1/completions") -> bytes:
    return name + b" " + path + b" HTTP/1.1\r\n" + HOST + CLOSE


def origin(name: bytes, *headers: bytes, how: bytes = b"POST") -> bytes:
    own = b"Origin: http://evil.com\r\n"
    return how + b" " + name + b" HTTP/1.1\r\n" + HOST + own + b"".join(headers) + CLOSE


REFUSED = [
    ("length and chunks", POST + LENGTH + b"5\r\n" + CHUNKED[len(POST) :], *MALFORMED),
    ("two lengths", POST + LENGTH + b"2\r\n" + LENGTH + b"3\r\n" + CLOSE + b"{}", *MALFORMED),
    ("a length twice", POST + (LENGTH + b"2\r\n") * 2 + CLOSE + b"{}", *MALFORMED),
    *(
        (f"length {value!r}", POST + LENGTH + value + b"\r\n" + CLOSE + b"{}", *MALFORMED)
        for value in (b"-1", b"+2", b"0x10", b"2, 2", b"", b"2_0", b"\xb2", b"1 2")
    ),
    ("length 10^18", POST + LENGTH + b"1" + b"0" * 18 + b"\r\n" + CLOSE, *TOO_LARGE),
    ("9 MiB", post(JSON, body=b"x" * 9 * MIB), *TOO_LARGE),
    ("9 MiB in chunks", CHUNKED + chunks(b"x" * 9 * MIB, 65536), *TOO_LARGE),
    ("chunk zz", CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n", *MALFORMED),
    ("chunk -1", CHUNKED + b"-1\r\n{}\r\n0\r\n\r\n", *MALFORMED),
    ("chunk 0x2", CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n", *MALFORMED),
    ("chunk of 2^68 bytes", CHUNKED + b"F" * 17 + b"\r\n" + b"x" * 9 * MIB, *TOO_LARGE),
    ("extension of 1 MB", CHUNKED + b"2;" + b"x" * 10**6 + b"\r\n{}\r\n0\r\n\r\n", *MALFORMED),
    ("a length in trailers", CHUNKED + chunks(BODY, 9)[:-2] + LENGTH + b"5\r\n\r\n", *MALFORMED),
    ("chunk too long for its size", CHUNKED + b"2\r\n{}xx0\r\n\r\n", *MALFORMED),
    ("flood of trailers", CHUNKED + b"0\r\n" + b"X: y\r\n" * 10**5 + b"\r\n", *MALFORMED),
    ("xchunked", POST + b"Transfer-Encoding: xchunked\r\n" + CLOSE, *CODING),
    ("gzip, chunked", POST + b"Transfer-Encoding: gzip, chunked\r\n" + CLOSE, *CODING),
    ("chunked twice", POST + b"Transfer-Encoding: chunked, chunked\r\n" + CLOSE, *MALFORMED),
    ("line of 5,000 bytes", get(b"/" + b"x" * 5000), 414, "uri_too_long"),
    ("line without end", b"GET /" + b"x" * 50_000, 414, "uri_too_long"),
    ("120 headers", get(b"/health", b"X: y\r\n" * 120), *HEADERS),
    ("header of 9,000 bytes", get(b"/health", b"X: " + b"y" * 9000 + b"\r\n"), *HEADERS),
    ("folded header", get(b"/health", b"X: y\r\n z\r\n"), *MALFORMED),
    ("space before colon", get(b"/health", b"X : y\r\n"), *MALFORMED),
    ("bare LF", b"GET /health HTTP/1.1\nHost: x\nConnection: close\n\n", *MALFORMED),
    ("NUL in path", get(b"/hea\0lth"), *MALFORMED),
    ("NUL in header", get(b"/health", b"X: a\0b\r\n"), *MALFORMED),
    ("bare CR in header", get(b"/health", b"X: a\rb\r\n"), *MALFORMED),
    ("nameless header", get(b"/health", b": b\r\n"), *MALFORMED),
    ("no host", get(host=b""), *MALFORMED),
    ("empty host", get(host=b"Host:\r\n"), *MALFORMED),
    ("no host in HTTP/1.2", get(host=b"").replace(b"1.1", b"1.2"), *MALFORMED),
    ("two hosts", get(host=HOST + b"Host: y\r\n"), *MALFORMED),
    ("a host twice", get(host=HOST * 2), *MALFORMED),
    *(
        (f"host {name!r}", get(host=b"Host: " + name + b"\r\n"), *HOSTILE)
        for name in (b"evil.com", b"evil.com:8080", b"127.0.0.1.nip.io", b"localhost.evil.com")
    ),
    *(
        (f"host {name!r}", get(host=b"Host: " + name + b"\r\n"), *MALFORMED)
        for name in (b"x@evil.com", b"x/evil", b"x y", b"[::1", b"x\0y", b"x, evil.com")
    ),
    ("foreign origin", origin(b"/v1/completions"), *ORIGIN),
    ("text/plain", post(b"Content-Type: text/plain\r\n"), *MEDIA),
    (
        "foreign preflight",
        origin(b"/v1/completions", b"Access-Control-Request-Method: POST\r\n", how=b"OPTIONS"),
        *ORIGIN,
    ),
    ("foreign target", get(b"http://evil.com/health"), *HOSTILE),
    ("target without a path", get(b"*"), *MALFORMED),
    ("HTTP/0.9", b"GET /health\r\n\r\n", *MALFORMED),
    ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", *MALFORMED),
    ("HTTP/3.0", get().replace(b"1.1", b"3.0"), 505, "http_version_not_supported"),
    ("TLS", bytes.fromhex("16030100f1010000ed0303") + bytes(range(256)), *MALFORMED),
    ("a proxy's preface", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + get(), *MALFORMED),
    ("lower-case method", method(b"get", b"/health"), *MALFORMED),
    *(
        (f"method {name.decode()}", method(name), *NOT_ALLOWED)
        for name in (b"TRACE", b"CONNECT", b"PUT", b"DELETE", b"PATCH", b"PROPFIND", b"GET")
    ),
    ("POST of a page", method(b"POST", b"/v1/metrics"), *NOT_ALLOWED),
    *(
        (f"path {path.decode()}", get(path), *UNKNOWN)
        for path in (
            *(b"/nothing", b"/..%2f..%2fetc/passwd", b"//v1//nothing", b"/../../etc/passwd"),
            *(b"/ui/../../config.py", b"/ui/%2e%2e/%2e%2e/config.py", b"/ui/%00"),
        )
    ),
    ("expect 200", post(JSON, b"Expect: 200-ok\r\n"), 417, "expectation_failed"),
    *(
        (f"coding {coding.decode()}", post(JSON, b"Content-Encoding: " + coding + b"\r\n"), *MEDIA)
        for coding in (b"gzip", b"br", b"identity, gzip", b"x")
    ),
    ("no type", post(), *MEDIA),
    *(
        (f"type {kind!r}", post(b"Content-Type: " + kind + b"\r\n"), *MEDIA)
        for kind in (
            *(b"", b"text/json", b"multipart/form-data", b"application/x-www-form-urlencoded"),
            *(b"\xff\xfe", b"application/json2", b"application/json, text/plain"),
        )
    ),
    ("two types", post(JSON, b"Content-Type: text/plain\r\n"), *MALFORMED),
    *(
        (f"charset {charset.decode()}", post(JSON[:-2] + b"; charset=" + charset + b"\r\n"), *MEDIA)
        for charset in (b"utf-7", b"utf-16", b"latin-1")
    ),
    ("an underscore for a dash", get(b"/v1/nothing", b"X_Forwarded_For: y\r\n"), *UNKNOWN),
    *(
        (f"model {path[:32].decode()}", get(b"/v1/models/" + path), *NO_MODEL)
        for path in (b"..%2f", b"..%2f..%2fetc%2fpasswd", b"%00", b"%ff", b"%zz", b"%41" * 1000)
    ),
    ("a name of 1 MB", get(b"/v1/models/" + b"x" * 10**6), 414, "uri_too_long"),
    ("a filter that is none", get(b"/v1/models?filter=((("), 400, "invalid_value"),
]
SERVED = [
    ("10,000 chunks of a byte", CHUNKED + chunks(BODY + b" " * 10**4, 1)),
    ("trailers", CHUNKED + chunks(BODY, 9)[:-2] + b"X: y\r\n\r\n"),
    ("own target", get(b"http://x/health")),
    ("slashes in a row", get(b"//v1//models")),
    ("HTTP/1.0", b"GET /health HTTP/1.0\r\n\r\n"),
    ("query of no characters", get(b"/?%ff=%zz&&=")),
    *(
        (f"header {header.decode()}", get(b"/health", header + b"\r\n"))
        for header in (
            *(b"X-Forwarded-Host: evil.com", b"X-Forwarded-Proto: https", b"SCRIPT_NAME: /v1"),
            *(b"X-Forwarded-For: y", b"X_Forwarded_For: y", b"PATH_INFO: /nothing", b"Proxy: y"),
            *(b"X-HTTP-Method-Override: DELETE", b"X-Original-URL: /nothing"),
        )
    ),
    ("accept XML", get(b"/health", b"Accept: application/xml\r\n")),
    (
        "close, keep-alive",
        get(b"/health", b"Connection: close, keep-alive\r\n")[: -len(CLOSE)] + END,
    ),
    ("TE and close", get(b"/health", b"Connection: TE\r\n")),
    ("a WebSocket", get(b"/health", b"Connection: Upgrade\r\nUpgrade: websocket\r\n")),
    ("HTTP/2 over TCP", get(b"/health", b"Connection: Upgrade\r\nUpgrade: h2c\r\n")),
    ("range", get(b"/openapi.json", b"Range: bytes=0-1\r\n")),
    ("compression", get(b"/health", b"Accept-Encoding: gzip, br\r\n")),
]


def said_to(server: ServerProcess, data: bytes) -> Answer:
    """The one answer to `data`, after which the connection ends."""
    with Connection(server.port) as connection:
        connection.send_bytes(data)
        answer = connection.answer()
        assert connection.is_closed()
    return answer


@pytest.mark.parametrize(("data", "status", "code"), rows(REFUSED))
def test_refused(target: Target, data: bytes, status: int, code: str) -> None:
    answer = said_to(target.server, data)
    assert (answer.status, answer.headers["content-type"]) == (status, "application/json")
    assert error_in(answer.body, status)["code"] == code
    assert ("allow" in answer.headers) == (status == 405)
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("data", rows(SERVED))
def test_served(target: Target, data: bytes) -> None:
    answer = said_to(target.server, data)
    assert answer.status == 200
    assert "content-encoding" not in answer.headers
    json.loads(answer.body)


@pytest.fixture(scope="module")
def impatient() -> Iterator[ServerProcess]:
    """A server whose clients have a second for their headers, and one for a body."""
    limits = ("--header-timeout-s", str(TIMEOUT_S), "--body-timeout-s", str(TIMEOUT_S))
    with served("--engine", "fake", *limits) as server:
        yield server


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(CUT_OFF, id="five of 100 bytes, then silence"),
        pytest.param(POST, id="headers without an end"),
        pytest.param(CHUNKED + b"5\r\n{", id="a chunk without an end"),
        pytest.param(CHUNKED + b"F" * 17 + b"\r\n{}", id="two bytes of a chunk of 2^68"),
    ],
)
def test_a_client_that_stops_is_told_and_left(impatient: ServerProcess, data: bytes) -> None:
    answer = said_to(impatient, data)
    assert answer.status == 408
    assert error_in(answer.body, 408)["code"] == "request_timeout"


def test_what_never_becomes_a_request_is_told_as_its_api_tells_errors(
    impatient: ServerProcess,
) -> None:
    rows = [
        (HOST + b"X: y\r\n", 408, "in time"),
        (HOST + JSON + LENGTH + b"9\r\n\r\n{", 408, "in time"),
        (HOST + JSON + LENGTH + b"99999\r\n\r\n{", 408, "in time"),  # a thread waits for it
        (HOST + b"X : y\r\n" + CLOSE, 400, "malformed"),
        (HOST + JSON + CHUNKED[len(POST) :] + b"x\r\n{}", 400, "malformed"),
    ]
    with contextlib.ExitStack() as stack:
        asked = []
        for path, (rest, status, words) in itertools.product(("/v1/messages", "/api/chat"), rows):
            connection = stack.enter_context(Connection(impatient.port))
            connection.send_bytes(f"POST {path} HTTP/1.1\r\n".encode() + rest)
            asked.append((connection, path, status, words))
        for connection, path, status, words in asked:
            answer = connection.answer()
            error = json.loads(answer.body)["error"]
            assert answer.status == status
            assert words in (error if path == "/api/chat" else error["message"])
            assert path == "/api/chat" or answer.headers["request-id"].startswith("req_")


def test_slow_headers_have_a_deadline_for_all_of_them(impatient: ServerProcess) -> None:
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(Connection(impatient.port)) for _ in range(200)]
        for _ in range(3):
            for connection in slow:
                connection.send_bytes(b"G")
            wait_until(lambda: impatient.health() == 200, SOON_S, "others are answered")
            time.sleep(TIMEOUT_S / 2)
        for connection in slow:
            assert connection.is_closed()


@pytest.mark.parametrize("bad", [BODY.replace(b'"hi"', b"123"), b"{", BODY.replace(b"hi", b"\\x")])
def test_a_connection_goes_on_after_refusals(target: Target, bad: bytes) -> None:
    requests = [BODY, bad, BODY, bad, BODY]
    with Connection(target.server.port) as connection:
        lengths = [LENGTH + b"%d\r\n\r\n" % len(body) for body in requests]
        connection.send_bytes(
            b"".join(POST + a + b for a, b in zip(lengths, requests, strict=True))
        )
        assert [connection.answer().status for _ in requests] == [200, 400, 200, 400, 200]


@pytest.mark.parametrize(
    "start", [b"POST /nothing HTTP/1.1\r\n" + HOST, START, b"GET /health HTTP/1.1\r\n" + HOST]
)
def test_a_body_that_nobody_reads_is_no_request(target: Target, start: bytes) -> None:
    smuggled = b"DELETE /v1/models HTTP/1.1\r\n" + HOST + b"\r\n"
    with Connection(target.server.port) as connection:
        connection.send_bytes(start + LENGTH + b"%d\r\n\r\n" % len(smuggled) + smuggled + get())
        connection.answer()
        assert connection.answer().status == 200
        assert connection.is_closed()


def test_an_answer_to_a_malformed_body_says_that_it_is_the_last(target: Target) -> None:
    with Connection(target.server.port) as connection:
        connection.send_bytes(CHUNKED[: -len(CLOSE)] + b"\r\n2;\r\n{}x")
        answer = connection.answer()
        assert (answer.status, answer.headers["connection"]) == (400, "close")
        assert connection.is_closed()


def test_a_body_is_asked_for_when_it_is_wanted(target: Target) -> None:
    expecting = b"Expect: 100-continue\r\n" + LENGTH + b"%d\r\n\r\n" % len(BODY)
    with Connection(target.server.port) as connection:
        for _ in range(2):
            connection.send_bytes(POST + expecting)
            assert connection.head() == (100, {})
            connection.send_bytes(BODY)
            assert connection.answer().status == 200
        connection.send_bytes(START + expecting)
        assert connection.answer().status == 415  # not 100 first
        assert connection.is_closed()


@pytest.mark.parametrize("field", ["model", "user", "path", "id"])
def test_nobody_writes_lines_of_the_log(target: Target, field: str) -> None:
    fake = "x\r\nERROR FAKE \x1b[31m\u2028FAKE"
    if field == "path":
        target.client.get("/nothing%0d%0aERROR%20FAKE%1b%5b31m")
    elif field == "id":
        target.client.get("/nothing", headers={"X-Request-Id": "x\tERROR FAKE"})
    else:
        target.ask(CHAT, **{field: fake})
    lines = target.server.output().splitlines()
    assert not [line for line in lines if line.startswith("ERROR FAKE") or "\x1b[31m" in line]
