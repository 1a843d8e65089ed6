"""Conversations that are longer than the context, and requests that allow leaving turns out."""

from __future__ import annotations

import pytest

from tests.support.front import CHAT, RESPONSES, error_of

HEADER = "X-Dropped-Messages"
TURN = [{"role": "user", "content": "a " * 10}, {"role": "assistant", "content": "b " * 10}]
TALK = [{"role": "system", "content": "be kind"}, *TURN * 4, {"role": "user", "content": "last"}]
BODIES = {CHAT: {"messages": TALK, "max_tokens": 5}, RESPONSES: {"input": TALK}}


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("fields", [{}, {"truncation": "disabled"}, {"truncation": None}])
def test_nothing_is_left_out_unasked(start, path, fields):
    response = start(engine={"n_ctx": 64}).post(path, {**BODIES[path], **fields})
    assert (response.status_code, error_of(response)["code"]) == (400, "context_length_exceeded")
    assert HEADER not in response.headers


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("stream", [False, True])
def test_the_oldest_turns_are_left_out_and_counted(start, path, stream):
    front = start(engine={"n_ctx": 64})
    body = {**BODIES[path], "truncation": "auto", "stream": stream}
    response = front.post(path, body)
    assert response.status_code == 200
    assert response.headers[HEADER] == "4"
    (request,) = front.core.requests
    assert request.messages == [TALK[0], *TALK[5:]]
    assert ("data: " in response.text) == stream


def test_a_plain_chat_says_how_much_was_left_out(start):
    front = start(engine={"n_ctx": 64})
    body = front.post(CHAT, {**BODIES[CHAT], "truncation": "auto"}).get_json()
    assert body["truncation"]["dropped_messages"] == 4
    assert body["truncation"]["dropped_tokens"] > 40
    short = {"messages": TALK[-1:], "truncation": "auto"}
    assert front.post(CHAT, short).get_json()["truncation"] == {
        "dropped_messages": 0,
        "dropped_tokens": 0,
    }
    assert "truncation" not in front.post(CHAT, {"messages": TALK[-1:]}).get_json()


def test_a_response_repeats_what_was_asked_for(start):
    front = start(engine={"n_ctx": 64})
    body = front.post(RESPONSES, {**BODIES[RESPONSES], "truncation": "auto"}).get_json()
    assert body["truncation"] == "auto"


@pytest.mark.parametrize("path", BODIES)
def test_a_last_turn_that_does_not_fit_is_refused(start, path):
    body = {**BODIES[path], "truncation": "auto"}
    response = start(engine={"n_ctx": 6}).post(path, body)
    assert (response.status_code, error_of(response)["code"]) == (400, "context_length_exceeded")
