"""Where answers end, and what the response says of it."""

from __future__ import annotations

import pytest

from pyserve.engine.fake.script import FakeScript
from pyserve.web.request.wait_budget import HEADER
from tests.support.front import (
    CHAT,
    COMPLETIONS,
    EDITS,
    RESPONSES,
    chat_body,
    error_of,
    events_of,
)

BODIES = {
    CHAT: chat_body(),
    COMPLETIONS: {"prompt": "p"},
    EDITS: {"instruction": "i"},
    RESPONSES: {"input": "i"},
}
ENDINGS = {
    "stop_token_ids": [3],
    "min_tokens": 2,
    "include_stop_str_in_output": True,
    "allowed_token_ids": [3, 4],
    "bad_words": ["bad"],
    "ban_eos_token": True,
    "t_max_predict_ms": 50,
}


@pytest.mark.parametrize("path", BODIES)
def test_every_ending_reaches_the_engine_on_every_endpoint(front, path):
    response = front.post(path, {**BODIES[path], **ENDINGS})
    assert response.status_code == 200
    assert "X-Ignored-Fields" not in response.headers
    (request,) = front.core.requests
    assert (request.stop_token_ids, request.min_tokens, request.shows_stop) == ([3], 2, True)
    assert request.max_decode_ms == 50
    sampling = request.sampling
    assert (sampling.allowed_token_ids, sampling.bad_words) == ([3, 4], ["bad"])
    assert sampling.ignore_eos


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    "fields",
    [
        {"stop_token_ids": 3},
        {"stop_token_ids": [-1]},
        {"stop_token_ids": [2**31 - 1]},
        {"stop_token_ids": [1] * 1025},
        {"min_tokens": -1},
        {"allowed_token_ids": []},
        {"allowed_token_ids": [2**31 - 1]},
        {"bad_words": [""]},
        {"bad_words": ["x"] * 65},
        {"t_max_predict_ms": -2},
    ],
)
def test_bad_endings_are_refused_by_name(front, path, fields):
    response = front.post(path, {**BODIES[path], **fields})
    assert response.status_code == 400
    assert str(error_of(response)["param"]).split(".")[0] == next(iter(fields))


def test_the_end_tokens_two_names_must_agree(front):
    response = front.post(CHAT, chat_body(ban_eos_token=True, ignore_eos=False))
    assert (response.status_code, error_of(response)["param"]) == (400, "ban_eos_token")


@pytest.mark.parametrize(("path", "body"), list(BODIES.items())[:3])
def test_what_stopped_an_answer_is_said(start, path, body):
    front = start(FakeScript(texts=("one two three",)))
    (stopped,) = front.post(path, {**body, "stop": [" tw"]}).get_json()["choices"]
    assert (stopped["finish_reason"], stopped["stop_reason"]) == ("stop", " tw")
    (ended,) = front.post(path, body).get_json()["choices"]
    assert (ended["finish_reason"], ended["stop_reason"]) == ("stop", None)


@pytest.mark.parametrize(("path", "body"), list(BODIES.items())[:2])
def test_the_last_chunk_alone_says_what_stopped_the_answer(start, path, body):
    front = start(FakeScript(texts=("one two three",)))
    events = events_of(front.post(path, {**body, "stop": [" tw"], "stream": True}))
    *others, last = [event["choices"][0] for event in events if event != "[DONE]"]
    assert last["stop_reason"] == " tw"
    assert not any("stop_reason" in choice for choice in others)


@pytest.mark.parametrize("path", BODIES)
def test_a_whole_timeout_is_the_limit_of_the_answer_as_well(front, path):
    for value in ("7.5; whole", "7.5"):
        assert front.post(path, BODIES[path], headers={HEADER: value}).status_code == 200
    whole, waiting = front.core.requests
    assert 0 < whole.max_total_ms == whole.deadline_ms <= 7500
    assert waiting.max_total_ms is None
