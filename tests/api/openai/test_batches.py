"""Requests for more answers than the engine has room for at once."""

from __future__ import annotations

import threading

import pytest

from pyserve.engine.fake.script import FakeScript
from pyserve.engine.protocol import GenerateRequest
from pyserve.web.answer.generation import N_AHEAD
from tests.support.front import COMPLETIONS, error_of, events_of
from tests.support.limits import SOON_S

PROMPTS = [f"prompt {i} has words" for i in range(40)]


@pytest.mark.parametrize("engine", [{"n_seq_max": 2}, {"n_seq_max": 2, "n_queue_max": 1}])
@pytest.mark.parametrize("stream", [False, True])
def test_many_prompts_are_answered_in_their_order(start, engine, stream):
    front = start(engine=engine)
    response = front.post(COMPLETIONS, {"prompt": PROMPTS, "stream": stream})
    if stream:
        texts = [""] * len(PROMPTS)
        for event in events_of(response)[:-1]:
            texts[event["choices"][0]["index"]] += event["choices"][0]["text"]
    else:
        body = response.get_json()
        texts = [choice["text"] for choice in body["choices"]]
        assert body["usage"]["completion_tokens"] == 4 * len(PROMPTS)
    assert texts == PROMPTS
    assert front.core.cancelled == []
    assert front.stream_limit.n_held == 0


def test_a_client_with_many_prompts_leaves_room_in_the_queue(start):
    front = start(FakeScript(hold_after=0), engine={"n_seq_max": 2})
    post = threading.Thread(target=front.post, args=(COMPLETIONS, {"prompt": PROMPTS}))
    post.start()
    assert front.core.wait_submitted(2 + N_AHEAD, SOON_S)
    assert front.engine.submit(GenerateRequest(prompt="another")).wait_accepted(SOON_S)
    assert len(front.core.requests) == 2 + N_AHEAD + 1
    front.core.release()
    post.join(SOON_S)
    assert len(front.core.requests) == len(PROMPTS) + 1


def test_clients_with_many_prompts_share_what_one_may_have_with_the_engine(start):
    front = start(FakeScript(hold_after=0), engine={"n_seq_max": 2})
    posts = []
    for n_together in (6, 6 + 3, 6 + 3 + 2, 6 + 3 + 2 + 1, 6 + 3 + 2 + 1 + 1):
        posts.append(
            threading.Thread(target=front.post, args=("/v1/embeddings", {"input": PROMPTS}))
        )
        posts[-1].start()
        assert front.core.wait_submitted(n_together, SOON_S)
    assert front.engine.submit(GenerateRequest(prompt="another")).wait_accepted(SOON_S)
    assert len(front.core.requests) == n_together + 1
    front.core.release()
    for post in posts:
        post.join(SOON_S)
    assert len(front.core.requests) == len(posts) * len(PROMPTS) + 1
    assert front.stream_limit.n_held == 0


def test_a_late_prompt_that_does_not_fit_is_refused_by_name(start):
    front = start(engine={"n_seq_max": 1, "n_ctx": 32})
    response = front.post(COMPLETIONS, {"prompt": [*PROMPTS, "x " * 40], "max_tokens": 1})
    error = error_of(response)
    assert (error["code"], error["param"]) == ("context_length_exceeded", "prompt")
    assert front.stream_limit.n_held == 0


def test_token_prompts_are_all_measured_before_anything_is_computed(start):
    front = start(engine={"n_seq_max": 1, "n_ctx": 32})
    response = front.post(COMPLETIONS, {"prompt": [*[[1]] * 40, [1] * 32]})
    error = error_of(response)
    assert (error["code"], error["param"]) == ("context_length_exceeded", "prompt")
    assert (error["n_prompt_tokens"], error["n_ctx"]) == (32, 32)
    assert front.core.requests == []
