"""Embeddings, keys, and what is not there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.hostile.conftest import CHAT, EMBEDDINGS, Target, check_refusal, error_in, rows
from tests.support.connection import Connection
from tests.support.limits import SOON_S
from tests.support.server import ServerProcess, served
from tests.support.tiny.llama import N_VOCAB

KEY = "sk-hostile-tests"
INPUTS: list[Any] = [
    *(
        [],
        [""],
        "",
        None,
        [[]],
        {"content": "x"},
        [1, -1],
        [N_VOCAB],
        ["a", [1], []],
        [[1], "a", None],
    ),
    *(
        5,
        [1, "a", N_VOCAB],
        [1, "a", 1.5],
        {"prompt_string": 5},
        ["a", {"prompt_string": "b", "x": 1}],
    ),
    *([1.5], [True], [None], ["x"] * 100_000, "x" * (2**21 + 1), [2**64]),
]
WRONG: list[tuple[str, dict[str, Any], str]] = [
    *((f"format {f!r}", {"encoding_format": f}, "encoding_format") for f in ("xml", 5, [])),
    *((f"dimensions {n}", {"dimensions": n}, "dimensions") for n in (0, -1, 10**9, 65, 1.5)),
]
NO_KEYS: list[tuple[str, list[bytes]]] = [
    ("nothing", []),
    ("no token", [b"Authorization: Bearer"]),
    ("a space for a token", [b"Authorization: Bearer  "]),
    ("another way", [b"Authorization: Basic " + KEY.encode()]),
    ("no way", [b"Authorization: " + KEY.encode()]),
    ("a part", [b"Authorization: Bearer " + KEY[:-1].encode()]),
    ("more", [b"Authorization: Bearer " + KEY.encode() + b"x"]),
    ("upper case", [b"Authorization: Bearer " + KEY.upper().encode()]),
    ("8,000 characters", [b"Authorization: Bearer " + b"x" * 8000]),
    ("no ASCII", [b"Authorization: Bearer \xff\xfe\xc3\xbc"]),
    ("a wrong one in the other header", [b"X-Api-Key: " + KEY[:-1].encode()]),
    ("in a cookie", [b"Cookie: api_key=" + KEY.encode()]),
]
CLOSE = b"Connection: close\r\n\r\n"


@pytest.mark.parametrize("value", INPUTS, ids=lambda value: repr(value)[:30])
def test_inputs_that_are_none(target: Target, value: Any) -> None:
    response = target.ask(EMBEDDINGS, input=value)
    check_refusal(response, 400)
    assert response.json()["error"]["param"].startswith("input")


@pytest.mark.parametrize(("fields", "param"), rows(WRONG))
def test_wrong_values(target: Target, fields: dict[str, Any], param: str) -> None:
    check_refusal(target.ask(EMBEDDINGS, **fields), 400, param=param)


def test_an_input_longer_than_the_context(target: Target) -> None:
    check_refusal(target.ask(EMBEDDINGS, input="x" * 600), 400, "context_length_exceeded", "input")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", path) for path in ("/debug", "/admin", "/console", "/.env", "/wp-login.php")),
        *(("GET", path) for path in ("/__debugger__", "/debug/pprof", "/static/../pyserve/app.py")),
        *(("POST", path) for path in ("/shutdown", "/v1/fine_tuning/jobs", "/exec")),
    ],
)
def test_nothing_else_is_served(target: Target, method: str, path: str) -> None:
    check_refusal(target.client.request(method, path), 404, "unknown_url")


def test_a_flood_of_questions_about_health(target: Target) -> None:
    request = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"
    flood = b"".join(request % path for path in (b"/health", b"/ready", b"/metrics")) * 100
    with Connection(target.server.port) as connection:
        connection.send_bytes(flood)
        assert {connection.answer().status for _ in range(300)} == {200}


@pytest.fixture(scope="module")
def locked() -> Iterator[ServerProcess]:
    with served("--engine", "fake", "--api-key", KEY) as server:
        yield server


def asked(server: ServerProcess, start: bytes, headers: list[bytes]) -> tuple[int, bytes]:
    with Connection(server.port) as connection:
        lines = b"".join(header + b"\r\n" for header in [b"Host: x", *headers])
        connection.send_bytes(start + b" HTTP/1.1\r\n" + lines + CLOSE)
        answer = connection.answer()
        assert connection.is_closed()
        return answer.status, answer.body


@pytest.mark.parametrize("headers", rows(NO_KEYS))
@pytest.mark.parametrize("start", [b"GET /v1/models", b"POST /v1/completions", b"GET /nothing"])
def test_without_a_key_nothing_is_said(
    locked: ServerProcess, start: bytes, headers: list[bytes]
) -> None:
    status, body = asked(locked, start, headers)
    assert status == 401
    assert error_in(body, 401)["code"] == "invalid_api_key"
    assert KEY.encode() not in body
    assert KEY not in locked.output()


def test_a_key_in_the_query_is_none(locked: ServerProcess) -> None:
    for name in ("api_key", "key", "token", "access_token"):
        assert asked(locked, f"GET /v1/models?{name}={KEY}".encode(), [])[0] == 401


def test_two_keys_in_two_headers_of_one_name_are_none(locked: ServerProcess) -> None:
    header = b"Authorization: Bearer "
    status, _ = asked(locked, b"GET /v1/models", [header + KEY.encode(), header + b"x" * 20])
    assert status == 401


def test_the_word_bearer_has_no_case(locked: ServerProcess) -> None:
    for word in (b"bearer", b"BEARER"):
        header = b"Authorization: " + word + b" " + KEY.encode()
        assert asked(locked, b"GET /v1/models", [header])[0] == 200


@pytest.mark.parametrize("expect", [b"", b"Expect: 100-continue\r\n"])
def test_a_body_without_a_key_is_not_waited_for(locked: ServerProcess, expect: bytes) -> None:
    head = b"POST " + CHAT.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000\r\n"
    with Connection(locked.port) as connection:
        connection.send_bytes(head + b"Authorization: Bearer wrong-wrong\r\n" + expect + b"\r\n")
        assert connection.answer().status == 401


def test_admin_routes_need_a_key(locked: ServerProcess) -> None:
    for path in ("/models/load", "/models/unload", "/models/reload"):
        reply = httpx.post(locked.url + path, json={"model": "x"}, timeout=SOON_S, trust_env=False)
        check_refusal(reply, 401, "invalid_api_key")
