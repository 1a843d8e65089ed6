"""When a stream begins, and what it says while nothing happens."""

from __future__ import annotations

import pytest

from pyserve.engine.fake.script import FakeScript
from pyserve.engine.protocol import GenerateRequest
from pyserve.web.answer.sse import KEEP_ALIVE
from tests.support.front import CHAT, COMPLETIONS, chat_body, error_of, events_of

BODIES = {CHAT: chat_body(stream=True), COMPLETIONS: {"prompt": "p", "stream": True}}


@pytest.mark.parametrize("path", BODIES)
def test_an_error_before_the_first_token_has_its_status(start, path):
    front = start(FakeScript(fail_after=0))
    response = front.post(path, BODIES[path])
    assert response.status_code == 500
    assert error_of(response)["code"] == "internal_error"
    assert front.stream_limit.n_held == 0


@pytest.mark.parametrize("path", BODIES)
def test_comments_are_sent_while_a_prompt_is_computed(start, path):
    front = start(FakeScript(texts=("one two",), hold_after=0), keep_alive_s=0.0)
    response = front.post(path, BODIES[path], buffered=False)
    assert response.status_code == 200
    silence = [next(response.response) for _ in range(3)]
    assert silence[-2:] == [KEEP_ALIVE, KEEP_ALIVE]
    front.core.release()
    rest = b"".join(response.response).decode()
    assert rest.count("[DONE]") == 1
    assert "one" in rest


def test_comments_tell_a_queued_request_its_own_place(start):
    script = FakeScript(texts=("one two",), hold_after=1)
    front = start(script, engine={"n_seq_max": 1}, keep_alive_s=0.0)
    for prompt, priority in (("in the way", 0), ("before", 1), ("behind", -1)):
        front.engine.submit(GenerateRequest(prompt=prompt, priority=priority))
    response = front.post(CHAT, chat_body(stream=True), buffered=False)
    assert response.headers["X-Queue-Position"] == "2"
    parts = iter(response.response)
    assert b"assistant" in next(parts)
    assert next(parts) == b": queued position=2 of=3 eta=2s\n\n"
    front.core.release()
    rest = b"".join(parts)
    assert b"one" in rest
    assert b": queued" not in rest.partition(b"one")[2]


def test_an_error_after_a_comment_is_an_event(start):
    front = start(FakeScript(hold_after=0), engine={"n_seq_max": 1}, keep_alive_s=0.0)
    front.engine.submit(GenerateRequest(prompt="in the way"))
    response = front.post(CHAT, chat_body(stream=True), headers={"X-Request-Timeout": "1"})
    *_, last = events_of(response)
    assert last["error"]["code"] == "deadline_exceeded"


def test_a_stream_that_is_cancelled_before_it_begins_frees_its_place(start):
    front = start(FakeScript(fail_after=0))
    for _ in range(3):
        front.post(CHAT, chat_body(stream=True, n=2))
    assert front.stream_limit.n_held == 0
    assert front.engine.stats().n_running == 0


def test_a_stream_uses_nothing_when_the_client_learns_that_it_is_over(start):
    front = start(FakeScript(texts=("one two",)))
    parts = iter(front.post(CHAT, chat_body(stream=True)).response)
    assert front.stream_limit.n_held == 1
    for part in parts:
        if b"[DONE]" in part:
            break
    assert front.stream_limit.n_held == 0
    front.backend.unload("tiny")
