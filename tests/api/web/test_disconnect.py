"""A client that goes away ends its engine requests, whatever they are doing."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from pyserve.app import create_app
from pyserve.backend.protocol import ModelStatus
from pyserve.backend.static import StaticBackend
from pyserve.config import ServeConfig
from pyserve.engine.fake.script import FakeScript
from pyserve.engine.streams.hub import StreamEngine
from tests.support.front import CHAT, COMPLETIONS, EDITS, chat_body
from tests.support.limits import SOON_S
from tests.support.scripted_core import ScriptedCore

HOLDING = FakeScript(hold_after=1)
BODIES = {
    CHAT: chat_body(n=2),
    COMPLETIONS: {"prompt": ["a b", "c d"]},
    EDITS: {"instruction": "x", "input": ["a", "b"]},
}


@pytest.fixture
def gone() -> Iterator[dict[str, socket.socket]]:
    """The environment of a request whose client has closed the connection."""
    ours, theirs = socket.socketpair()
    theirs.close()
    with closing(ours):
        yield {"gunicorn.socket": ours}


@pytest.fixture
def there() -> Iterator[dict[str, socket.socket]]:
    """The environment of a request whose client waits."""
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        yield {"gunicorn.socket": ours}


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_closing_a_stream_cancels_all_its_requests(start, path):
    front = start(HOLDING)
    response = front.post(path, {**BODIES[path], "stream": True})
    assert b"data: " in next(response.response)
    response.close()
    assert front.core.wait_cancelled(2, SOON_S)
    assert front.stream_limit.n_held == 0


def test_closing_a_stream_that_was_never_read_cancels_too(start):
    front = start(HOLDING)
    front.post(CHAT, chat_body(stream=True), buffered=False).close()
    assert front.core.wait_cancelled(1, SOON_S)
    assert front.stream_limit.n_held == 0


@pytest.mark.parametrize("path", BODIES)
def test_a_plain_request_ends_when_its_client_is_gone(start, gone, path):
    front = start(HOLDING)
    response = front.post(path, BODIES[path], environ_overrides=gone)
    assert response.status_code == 499
    assert front.core.wait_cancelled(2, SOON_S)
    assert front.stream_limit.n_held == 0


def test_a_silent_stream_ends_when_its_client_is_gone(start, gone):
    front = start(HOLDING)
    response = front.post(CHAT, chat_body(stream=True), environ_overrides=gone)
    assert response.text.count("[DONE]") == 0
    assert front.core.wait_cancelled(1, SOON_S)


def test_a_request_that_is_not_accepted_yet_ends_when_its_client_is_gone(gone):
    core = ScriptedCore()
    with closing(StaticBackend({"m": StreamEngine(core)})) as backend:
        client = create_app(ServeConfig(), backend).test_client()
        response = client.post(CHAT, json=chat_body(), environ_overrides=gone)
    assert response.status_code == 499
    assert core.cancelled == [1]


def test_waiting_for_a_model_to_load_ends_when_the_client_is_gone(start, gone):
    loading = ModelStatus(id="slow", created=1, state="loading")
    front = start(models=(), others=(loading,), load_timeout_s=3600)
    response = front.post(CHAT, chat_body(), environ_overrides=gone)
    assert response.status_code == 499
    assert front.stream_limit.n_held == 0


def test_waiting_for_a_model_to_unload_ends_when_the_client_is_gone(front, gone):
    lease = front.backend.lease("tiny")
    body = {"model": "tiny"}
    response = front.post("/models/unload", body, environ_overrides=gone)
    assert response.status_code == 499
    lease.release()
    assert front.post("/models/unload", body, environ_overrides=gone).status_code == 200


def test_a_client_that_waits_is_answered(front, there):
    response = front.post(CHAT, chat_body("hi #slow=300"), environ_overrides=there)
    assert response.status_code == 200
    assert front.core.cancelled == []


def test_a_finished_request_cancels_nothing(front):
    front.post(CHAT, chat_body(n=2))
    front.post(CHAT, chat_body(stream=True)).close()
    assert front.core.cancelled == []
    assert front.stream_limit.n_held == 0
