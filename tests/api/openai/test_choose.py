"""POST /v1/choose over the fake engine: each token has the log-probability -0.25."""

from __future__ import annotations

import math
import socket
from contextlib import closing

import pytest

from pyserve.engine.fake.script import FakeScript
from tests.support.front import chat_body, error_of
from tests.support.limits import SOON_S

CHOOSE = "/v1/choose"


def body_of(*choices, **fields):
    return {**chat_body("which one"), "choices": list(choices), **fields}


@pytest.mark.parametrize("path", [CHOOSE, "/choose", "/v1/engines/tiny/choose"])
def test_choices_have_probabilities_in_the_order_of_the_request(front, path):
    response = front.post(path, body_of("red", "dark blue green"))
    assert response.status_code == 200, response.get_json()
    body = response.get_json()
    assert (body["object"], body["model"]) == ("choose", "tiny")
    ratio = math.exp(-0.5)
    assert body["choices"] == [
        {
            "index": 0,
            "text": "red",
            "logprob": -0.25,
            "probability": pytest.approx(1 / (1 + ratio)),
        },
        {
            "index": 1,
            "text": "dark blue green",
            "logprob": -0.75,
            "probability": pytest.approx(ratio / (1 + ratio)),
        },
    ]
    n_prompt = len(front.engine.tokenize_chat(chat_body("which one")["messages"]))
    usage = body["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (n_prompt, 4)


def test_by_length_the_mean_of_the_tokens_counts(front):
    body = front.post(CHOOSE, body_of("red", "dark blue", normalize="length")).get_json()
    assert [choice["logprob"] for choice in body["choices"]] == [-0.25, -0.5]
    assert [choice["probability"] for choice in body["choices"]] == [0.5, 0.5]


def test_what_choices_begin_with_is_asked_once(front):
    fields = {"priority": 3, "cache_salt": "s", "deterministic": True}
    choices = ["a b", "a c", "a"]
    front.post(CHOOSE, {"prompt": "x y", "choices": choices, **fields})
    prompt = front.engine.tokenize("x y", add_special=True, parse_special=False)
    a, b = front.engine.tokenize("a b", add_special=False, parse_special=False)
    (c,) = front.engine.tokenize(" c", add_special=False, parse_special=False)
    asked = [(each.tokens, each.sampling.allowed_token_ids) for each in front.core.requests]
    assert asked == [(prompt, [a]), ([*prompt, a], [b]), ([*prompt, a], [c])]
    for each in front.core.requests:
        assert (each.max_tokens, each.n_logprobs) == (1, 0)
        assert (each.priority, each.cache_salt, each.deterministic) == (3, "s", True)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"choices": []}, "choices"),
        ({"choices": ["a"] * 129}, "choices"),
        ({"choices": ["a", "b", "a"]}, "choices.2"),
        ({"choices": ["a", ""]}, "choices.1"),
        ({"choices": ["x" * 4097]}, "choices.0"),
        ({"choices": ["a " * 2000]}, "choices"),
        ({"prompt": "p"}, "prompt"),
        ({"messages": None}, "messages"),
        ({"normalize": "all"}, "normalize"),
        ({"tools": [{}]}, "tools"),
        ({"lora": [{"name": "none", "scale": 1.0}]}, None),
    ],
)
def test_what_is_wrong_is_named(front, change, param):
    response = front.post(CHOOSE, body_of("a", "b") | change)
    error = error_of(response)
    assert response.status_code == 400
    assert param is None or error["param"] == param
    assert not front.core.requests


def test_a_prompt_must_leave_room_for_the_longest_choice(start):
    front = start(engine={"n_ctx": 8})
    body = {"prompt": "a b c d e", "choices": ["x", "x y"]}  # 6 tokens and 2
    assert front.post(CHOOSE, body).status_code == 200
    error = error_of(front.post(CHOOSE, {**body, "choices": ["x", "x y z"]}))
    assert (error["code"], error["param"]) == ("context_length_exceeded", "prompt")


def test_long_prompts_bound_the_beginnings(start):
    front = start(engine={"n_ctx": 32768})
    prompt = "a " * 16384
    choices = [f"{i} x y z" for i in range(90)]
    error = error_of(front.post(CHOOSE, {"prompt": prompt, "choices": choices}))
    assert error["param"] == "choices"
    assert not front.core.requests


def test_a_client_that_is_gone_cancels_all(start):
    front = start(FakeScript(hold_after=0))
    ours, theirs = socket.socketpair()
    theirs.close()
    with closing(ours):
        gone = {"gunicorn.socket": ours}
        response = front.post(CHOOSE, body_of("a", "b c"), environ_overrides=gone)
    assert response.status_code == 499
    assert front.core.wait_cancelled(len(front.core.requests), SOON_S)
    assert front.stream_limit.n_held == 0
