"""What a client may say about its request's place among others."""

from __future__ import annotations

import itertools
import time

import pytest

from pyserve.engine.fake.script import FakeScript
from pyserve.engine.protocol import GenerateRequest
from pyserve.errors import ErrorInfo
from pyserve.web.request.caller import SESSION_HEADER
from pyserve.web.request.wait_budget import HEADER
from tests.support.front import CHAT, COMPLETIONS, EDITS, RESPONSES, chat_body, error_of, events_of

BODIES = {
    CHAT: chat_body(),
    COMPLETIONS: {"prompt": "p"},
    EDITS: {"instruction": "i"},
    RESPONSES: {"input": "i"},
}


@pytest.mark.parametrize("path", BODIES)
def test_a_timeout_is_the_deadline_of_every_engine_request(front, path):
    assert front.post(path, BODIES[path], headers={HEADER: "7.5"}).status_code == 200
    assert front.post(path, BODIES[path]).status_code == 200
    with_deadline, without = (request.deadline_ms for request in front.core.requests)
    assert 0 < with_deadline <= 7500
    assert without is None


@pytest.mark.parametrize("path", BODIES)
def test_a_timeout_does_not_mind_a_clock_that_is_set(front, monkeypatch, path):
    days, wall_clock = itertools.cycle([1, -1]), time.time
    monkeypatch.setattr(time, "time", lambda: wall_clock() + 86_400 * next(days))
    for _ in range(2):
        assert front.post(path, BODIES[path], headers={HEADER: "7.5"}).status_code == 200
    assert all(0 < request.deadline_ms <= 7500 for request in front.core.requests)


@pytest.mark.parametrize("path", BODIES)
def test_a_timeout_must_be_a_positive_number(front, path):
    response = front.post(path, BODIES[path], headers={HEADER: "soon"})
    assert (response.status_code, error_of(response)["param"]) == (400, HEADER)
    assert front.core.requests == []
    assert front.stream_limit.n_held == 0


def test_a_request_that_waited_too_long_is_told_so(start):
    front = start(FakeScript(hold_after=0), engine={"n_seq_max": 1})
    front.engine.submit(GenerateRequest(prompt="in the way"))
    response = front.post(CHAT, chat_body(), headers={HEADER: "0.01"})
    assert response.status_code == 503
    assert response.headers["Retry-After"]
    assert error_of(response)["code"] == "deadline_exceeded"


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("fields", [{"priority": 101}, {"priority": "high"}, {"deterministic": 1}])
def test_bad_values_are_refused_by_name(front, path, fields):
    response = front.post(path, {**BODIES[path], **fields})
    assert (response.status_code, error_of(response)["param"]) == (400, next(iter(fields)))


def test_a_request_without_a_number_is_the_servers_fault_and_said_so(start):
    failure = ErrorInfo(code="numeric_error", message="token 7 has no usable logit")
    response = start(FakeScript(fail_after=1, failure=failure)).post(CHAT, chat_body())
    error = error_of(response)
    assert (response.status_code, error["type"]) == (500, "server_error")
    assert (error["code"], error["message"]) == ("numeric_error", "token 7 has no usable logit")


@pytest.mark.parametrize(
    ("fields", "priority", "tier"),
    [
        ({}, 0, "default"),
        ({"service_tier": "auto"}, 0, "default"),
        ({"service_tier": "standard_only"}, 0, "default"),
        ({"service_tier": "priority"}, 10, "priority"),
        ({"service_tier": "fast", "priority": 95}, 100, "priority"),
        ({"service_tier": "ultrafast"}, 10, "priority"),
        ({"service_tier": "flex", "priority": 5}, -5, "flex"),
    ],
)
@pytest.mark.parametrize("path", BODIES)
def test_a_service_tier_moves_the_priority(front, path, fields, priority, tier):
    body = front.post(path, {**BODIES[path], **fields}).get_json()
    assert [request.priority for request in front.core.requests] == [priority]
    if path in (CHAT, RESPONSES):
        assert body["service_tier"] == tier


def test_streams_say_the_tier_where_they_are_asked(front):
    for tier in ("flex", None):
        events = events_of(front.post(CHAT, chat_body(service_tier=tier, stream=True)))
        assert {event.get("service_tier") for event in events[:-1]} == {tier}


@pytest.mark.parametrize("path", BODIES)
def test_a_session_has_the_name_that_header_or_body_gives_it(front, path):
    key = {"prompt_cache_key": "of-the-body"}
    for fields, headers in [({}, {}), (key, {}), (key, {SESSION_HEADER: "s" * 600})]:
        response = front.post(path, {**BODIES[path], **fields}, headers=headers)
        assert response.status_code == 200
        assert "X-Ignored-Fields" not in response.headers
    names = [request.session for request in front.core.requests]
    assert names == ["", "of-the-body", "s" * 512]
