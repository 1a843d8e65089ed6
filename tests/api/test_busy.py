"""Requests that are refused without a thread."""

from __future__ import annotations

import json

import pytest

from pyserve.web.busy import turn_away
from tests.support.front import CHAT, COMPLETIONS, chat_body

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


def test_the_answer_is_that_of_the_application(full):
    front = full()
    headers, _, body = turn_away(
        parts_of(front), raw(CHAT, chat_body(), "X-Request-Id: mine")
    ).partition(b"\r\n\r\n")
    response = front.post(CHAT, chat_body(), headers={"X-Request-Id": "mine"})
    assert body == response.data
    assert headers.startswith(f"HTTP/1.1 {response.status_code} ".encode())
    for name in ("X-Request-Id", "Retry-After", "Content-Type", "Content-Length"):
        assert f"\r\n{name}: {response.headers[name]}".encode() in headers
    assert parts_of(front).counters.errors() == {"queue_full": 2}
    assert parts_of(front).counters.responses() == {503: 2}


@pytest.mark.parametrize("prefix", ["", "/v1", "/v1/engines/tiny"])
@pytest.mark.parametrize("path", ["/chat/completions", "/completions?x=1", "/embeddings"])
def test_all_that_generates_is_turned_away(full, prefix, path):
    assert turn_away(parts_of(full()), raw(prefix + path, {})) is not None


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
    assert turn_away(parts_of(full()), data) is None


def test_nothing_is_turned_away_while_there_is_a_place(start):
    assert turn_away(parts_of(start(max_streams=1)), raw(CHAT, chat_body())) is None


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
    answer = turn_away(parts_of(full(api_key=[KEY])), raw(COMPLETIONS, {"prompt": "a"}, *headers))
    assert (answer is not None) is is_known
