"""Answers that go on with what the assistant has begun to say."""

from __future__ import annotations

import pytest

from pyserve.engine.fake.script import FakeScript
from tests.support.front import CHAT, error_of, events_of

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


@pytest.mark.parametrize("content", ["three four", [{"type": "text", "text": "three four"}]])
@pytest.mark.parametrize("stream", [False, True])
def test_the_message_may_come_before_its_continuation(start, stream, content):
    front = start(FakeScript(texts=(" five", " six")))
    messages = [ASKED, {"role": "assistant", "content": content}]
    response = front.post(
        CHAT, {**BODY, "messages": messages, "stream": stream, "echo": True, "n": 2}
    )
    if stream:
        texts = ["", ""]
        for event in events_of(response)[:-1]:
            for choice in event["choices"]:
                texts[choice["index"]] += choice["delta"].get("content") or ""
    else:
        texts = [each["message"]["content"] for each in response.get_json()["choices"]]
    assert sorted(texts) == ["three four five", "three four six"]


def test_a_question_is_not_echoed(start):
    front = start(FakeScript(texts=(" five",)))
    body = front.post(CHAT, {"messages": [ASKED], "echo": True}).get_json()
    assert body["choices"][0]["message"]["content"] == " five"


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


@pytest.mark.parametrize("name", ["prefix", "partial"])
def test_other_servers_say_it_in_the_message(start, name):
    front = start(FakeScript(texts=(" five",)))
    assert front.post(CHAT, {"messages": [ASKED, {**BEGUN, name: True}]}).status_code == 200
    (request,) = front.core.requests
    assert front.core.detokenize(request.tokens or []) == "user: one two\nassistant:three four"
    assert front.post(CHAT, {"messages": [ASKED, {**BEGUN, name: False}]}).status_code == 200
    assert front.core.requests[-1].messages is not None


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([ASKED, {**BEGUN, "prefix": True}, ASKED], "messages.1.prefix"),
        ([{**ASKED, "partial": True}], "messages.0.partial"),
        ([{**BEGUN, "prefix": True}], "continue_final_message"),
    ],
)
def test_only_the_last_answer_can_be_continued(front, messages, param):
    error = error_of(front.post(CHAT, {"messages": messages}))
    assert (error["code"], error["param"]) == ("invalid_value", param)


def test_a_message_may_not_contradict_the_request(front):
    body = {"messages": [ASKED, {**BEGUN, "prefix": True}], "continue_final_message": False}
    assert error_of(front.post(CHAT, body))["param"] == "messages.1.prefix"
