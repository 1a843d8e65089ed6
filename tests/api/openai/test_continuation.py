"""Answers that go on with what the assistant has begun to say."""

from __future__ import annotations

import pytest

from pyserve.engine.fake.script import FakeScript
from tests.support.front import CHAT, events_of

ASKED = {"role": "user", "content": "one two"}
BEGUN = {"role": "assistant", "content": "three four"}
BODY = {"messages": [ASKED, BEGUN], "continue_final_message": True, "add_generation_prompt": False}


@pytest.mark.parametrize("stream", [False, True])
def test_the_prompt_ends_with_the_last_message(start, stream):
    front = start(FakeScript(texts=(" five",)))
    response = front.post(CHAT, {**BODY, "stream": stream})
    (request,) = front.core.requests
    assert request.messages is None
    assert front.core.detokenize(request.tokens or []) == "user: one two\nassistant:three four"
    assert request.stop == []
    if stream:
        deltas = [event["choices"][0]["delta"] for event in events_of(response)[:-1]]
        assert "".join(delta.get("content", "") for delta in deltas) == " five"
    else:
        assert response.get_json()["choices"][0]["message"]["content"] == " five"


def test_without_a_template_the_answer_ends_with_the_turn(start):
    front = start(FakeScript(texts=(" five\nUser: six",)), has_chat_template=False)
    body = front.post(CHAT, {**BODY, "stop": ["x"]}).get_json()
    assert body["choices"][0]["message"]["content"] == " five"
    (request,) = front.core.requests
    assert front.core.detokenize(request.tokens or []).endswith("assistant: three four")
    assert request.stop[0] == "x"


def test_template_and_count_say_the_same(front):
    usage = front.post(CHAT, BODY).get_json()["usage"]
    count = front.post("/v1/chat/completions/input_tokens", BODY).get_json()
    assert count == {"input_tokens": usage["prompt_tokens"]}
    prompt = front.post("/apply-template", BODY).get_json()["prompt"]
    assert prompt == "user: one two\nassistant:three four"


def test_old_turns_may_be_left_out_too(start):
    front = start(engine={"n_ctx": 40})
    old = [{"role": "user", "content": "x " * 30}, {"role": "assistant", "content": "y"}]
    body = {**BODY, "messages": [*old, ASKED, BEGUN], "truncation": "auto", "max_tokens": 4}
    response = front.post(CHAT, body)
    assert response.headers["X-Dropped-Messages"] == "2"
    (request,) = front.core.requests
    assert front.core.detokenize(request.tokens or []) == "user: one two\nassistant:three four"
