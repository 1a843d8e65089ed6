"""Streams whose model is loaded while they wait."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pyserve.app import create_app
from pyserve.backend.protocol import EngineLease
from pyserve.backend.static import StaticBackend
from pyserve.config import ServeConfig
from pyserve.engine.config import EngineConfig
from pyserve.engine.fake.core import STEERABLE, FakeCore
from pyserve.engine.streams.hub import StreamEngine
from pyserve.errors import ModelLoadError
from tests.support.front import CHAT, RESPONSES, Front, chat_body, events_of
from tests.support.limits import SOON_S


class SlowBackend(StaticBackend):
    """Its model is loaded when `loaded` is set; `error` is why it is not."""

    loaded: threading.Event
    error: ModelLoadError | None = None

    def lease(self, model_id: str, **options: Any) -> EngineLease:
        while not self.loaded.wait(0.01):
            options["on_wait"]()
        if self.error is not None:
            raise self.error
        return super().lease(model_id, **options)


@contextlib.contextmanager
def loading_front(keep_alive_s: float) -> Iterator[Front]:
    core = FakeCore(EngineConfig(model_id="tiny", model_path=""), STEERABLE)
    backend = SlowBackend({"tiny": StreamEngine(core)})
    backend.loaded = threading.Event()
    backend.unload("tiny")
    app = create_app(ServeConfig(response_store_mib=0), backend, keep_alive_s=keep_alive_s)
    parts = app.extensions["pyserve"]
    yield Front(app, app.test_client(), {"tiny": core}, parts.stream_limit)
    backend.loaded.set()
    backend.close()


@pytest.fixture
def slow() -> Iterator[Front]:
    """Its streams do not stay silent."""
    with loading_front(0.05) as front:
        yield front


@pytest.fixture
def silent() -> Iterator[Front]:
    """Its streams wait for what they have to tell."""
    with loading_front(3600.0) as front:
        yield front


def loading(front: Front) -> SlowBackend:
    assert isinstance(front.backend, SlowBackend)
    return front.backend


def test_comments_come_until_the_model_is_loaded(slow):
    response = slow.post(CHAT, chat_body("a b c", stream=True), buffered=False)
    assert response.status_code == 200
    assert response.headers["X-Model-Resolved"] == "tiny"
    chunks = iter(response.response)
    assert [next(chunks), next(chunks)] == [b": keep-alive\n\n"] * 2
    loading(slow).loaded.set()
    rest = b"".join(chunks)
    assert b'"a' in rest
    assert rest.endswith(b"data: [DONE]\n\n")
    response.close()
    assert slow.stream_limit.n_held == 0


def test_silence_and_the_failure_are_as_the_api_has_them(slow):
    loading(slow).error = ModelLoadError("the file is damaged")
    body = {"messages": chat_body("a")["messages"], "max_tokens": 9, "stream": True}
    response = slow.post("/v1/messages", body, buffered=False)
    chunks = iter(response.response)
    assert next(chunks) == b'event: ping\ndata: {"type":"ping"}\n\n'
    loading(slow).loaded.set()
    *_, last = chunks
    assert last.startswith(b'event: error\ndata: {"type":"error",')
    assert b'"type":"overloaded_error","message":"the file is damaged"' in last
    response.close()
    assert slow.stream_limit.n_held == 0


@pytest.mark.parametrize("fails", [False, True])
def test_lines_of_an_answer_to_come_are_empty_ones(slow, fails):
    response = slow.post("/api/chat", {"model": "tiny", **chat_body("a b")}, buffered=False)
    chunks = iter(response.response)
    early = json.loads(next(chunks))
    assert (early["message"]["content"], early["done"]) == ("", False)
    if fails:
        loading(slow).error = ModelLoadError("the file is damaged")
    loading(slow).loaded.set()
    lines = [json.loads(line) for line in b"".join(chunks).splitlines()]
    if fails:
        assert lines[-1] == {"error": "the file is damaged"}
    else:
        assert "".join(line["message"]["content"] for line in lines) == "a b"
        assert lines[-1]["load_duration"] > 0
    response.close()
    assert slow.stream_limit.n_held == 0


def test_a_model_that_is_loaded_soon_makes_a_stream_as_usual(silent):
    timer = threading.Timer(0.01, loading(silent).loaded.set)
    timer.start()
    response = silent.post(CHAT, chat_body("a b c", stream=True))
    assert events_of(response)[-1] == "[DONE]"
    assert not response.text.startswith(":")
    timer.join()


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
def test_a_load_that_fails_late_ends_the_stream_with_its_error(slow, path):
    body = chat_body(stream=True) if path == CHAT else {"input": "x", "stream": True}
    response = slow.post(path, body, buffered=False)
    chunks = iter(response.response)
    next(chunks)
    loading(slow).error = ModelLoadError("no magic")
    loading(slow).loaded.set()
    rest = b"".join(chunks)
    assert b'"code":"model_load_failed"' in rest
    assert (b"DONE" in rest) == (path == RESPONSES)
    if path == RESPONSES:
        events = [json.loads(line[6:]) for line in rest.splitlines() if line.startswith(b"data: {")]
        assert [event["type"] for event in events] == ["error", "response.failed"]
        assert events[1]["response"]["error"]["code"] == "server_error"
    response.close()
    assert slow.stream_limit.n_held == 0


def test_a_load_that_fails_soon_has_its_status(slow):
    loading(slow).error = ModelLoadError("no magic")
    loading(slow).loaded.set()
    assert slow.post(CHAT, chat_body(stream=True)).status_code == 503


def test_a_client_that_goes_while_it_waits_leaves_nothing(slow):
    response = slow.post(CHAT, chat_body("#hold=1 x y", stream=True), buffered=False)
    next(iter(response.response))
    response.close()
    loading(slow).loaded.set()
    released = threading.Event()
    for _ in range(int(SOON_S / 0.01)):
        if slow.stream_limit.n_held == 0:
            break
        released.wait(0.01)
    assert slow.stream_limit.n_held == 0
