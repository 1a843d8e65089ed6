from __future__ import annotations

from collections import Counter

import pytest

from pyserve.engine.fake.script import FakeScript
from tests.support.front import CHAT, chat_body, error_of, events_of


def test_a_plain_answer(front):
    response = front.post(CHAT, chat_body("Say this", temperature=0.7, model="not-there.bin"))
    assert response.status_code == 200
    body = response.get_json()
    assert body["choices"][0]["message"]["content"] == "Say this"
    assert body["model"] == response.headers["X-Model-Resolved"] == "tiny"
    assert front.core.requests[0].sampling.temperature == 0.7


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/engines/tiny/chat/completions"])
def test_other_paths_lead_to_the_same(front, path):
    response = front.post(path, chat_body("hi"))
    assert response.get_json()["choices"][0]["message"]["content"] == "hi"


def test_a_streamed_answer_equals_the_plain_one(start):
    front = start(FakeScript(texts=("Zoë said\n\ndata: [DONE] \u2028 \U0001f600 fin",)))
    fields = {"logprobs": True, "top_logprobs": 2}
    plain = front.post(CHAT, chat_body(**fields)).get_json()["choices"][0]
    events = events_of(front.post(CHAT, chat_body(stream=True, **fields)))
    assert events.pop() == "[DONE]"
    choices = [event["choices"][0] for event in events]
    assert [choice["delta"].get("role") for choice in choices] == (
        ["assistant"] + [None] * (len(choices) - 1)
    )
    joined = "".join(choice["delta"].get("content", "") for choice in choices)
    assert joined == plain["message"]["content"]
    logprobs = [token for c in choices if c["logprobs"] for token in c["logprobs"]["content"]]
    assert logprobs == plain["logprobs"]["content"]
    assert [c["finish_reason"] for c in choices[:-1]] == [None] * (len(choices) - 1)
    assert choices[-1]["delta"] == {}
    assert choices[-1]["finish_reason"] == plain["finish_reason"] == "stop"


def test_a_stream_has_the_headers_that_keep_proxies_from_buffering(front):
    response = front.post(CHAT, chat_body(stream=True))
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.headers["X-Accel-Buffering"] == "no"
    assert response.headers["X-Model-Resolved"] == "tiny"
    response.close()


def test_usage_is_streamed_when_asked_for(front):
    body = chat_body(stream=True, stream_options={"include_usage": True}, max_tokens=2)
    *events, usage_event, done = events_of(front.post(CHAT, body))
    plain = front.post(CHAT, chat_body(max_tokens=2)).get_json()
    assert done == "[DONE]"
    assert usage_event["choices"] == []
    assert usage_event["usage"] == plain["usage"]
    assert all(event["usage"] is None for event in events)


@pytest.mark.parametrize("stream", [False, True])
def test_n_choices_each_with_its_own_text_and_end(start, stream):
    front = start(FakeScript(texts=("a", "b c d", "e f")))
    response = front.post(CHAT, chat_body(n=3, seed=5, stream=stream))
    texts = Counter()
    finishes = Counter()
    if stream:
        events = events_of(response)[:-1]
        assert len({(event["id"], event["created"]) for event in events}) == 1
        joined = {0: "", 1: "", 2: ""}
        for choice in (event["choices"][0] for event in events):
            joined[choice["index"]] += choice["delta"].get("content", "")
            texts[choice["index"]] += choice["delta"].get("role") == "assistant"
            finishes[choice["index"]] += choice["finish_reason"] is not None
        assert list(texts.values()) == list(finishes.values()) == [1, 1, 1]
    else:
        choices = response.get_json()["choices"]
        joined = {choice["index"]: choice["message"]["content"] for choice in choices}
    assert joined == {0: "a", 1: "b c d", 2: "e f"}
    assert [request.sampling.seed for request in front.core.requests] == [5, 6, 7]


def test_a_stop_string_ends_the_answer_and_does_not_appear(front):
    choice = front.post(CHAT, chat_body("a b c d", stop=["c"])).get_json()["choices"][0]
    assert choice["message"]["content"] == "a b "
    assert choice["finish_reason"] == "stop"


def test_max_tokens_end_the_answer_as_length(front):
    choice = front.post(CHAT, chat_body("a b c", max_tokens=2)).get_json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("a b", "length")


def test_no_tokens_compute_the_prompt_alone(front):
    body = front.post(CHAT, chat_body(max_tokens=0)).get_json()
    assert body["choices"][0]["message"]["content"] == ""
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 0
    assert body["usage"]["prompt_tokens"] > 0


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "n_predict"])
def test_minus_one_is_no_limit(front, name):
    assert front.post(CHAT, chat_body(**{name: -1})).status_code == 200
    assert front.core.requests[0].max_tokens is None


def test_whole_numbers_may_be_written_with_a_fraction(front):
    headers = {"Content-Type": "application/json"}
    text = '{"messages": [{"role": "user", "content": "a b c d"}], "max_tokens": %s, "top_k": 4e1}'
    response = front.client.post(CHAT, data=text % "2.0", headers=headers)
    assert response.get_json()["usage"]["completion_tokens"] == 2
    error = error_of(front.client.post(CHAT, data=text % "2.5", headers=headers))
    assert (error["param"], error["code"]) == ("max_tokens", "invalid_type")


def test_the_metadata_come_back(front):
    metadata = {"session": "7"}
    assert front.post(CHAT, chat_body(metadata=metadata)).get_json()["metadata"] == metadata
    assert "metadata" not in front.post(CHAT, chat_body()).get_json()


@pytest.mark.parametrize("fields", [{"logprobs": False}, {"logprobs": None}, {}])
def test_no_alternatives_need_no_logprobs(front, fields):
    assert front.post(CHAT, chat_body(top_logprobs=0, **fields)).status_code == 200
    error = error_of(front.post(CHAT, chat_body(top_logprobs=1, **fields)))
    assert (error["code"], error["param"]) == ("invalid_value", "top_logprobs")


@pytest.mark.parametrize(("fields", "n"), [({"n": 128}, 128), ({"n_cmpl": 2}, 2)])
def test_there_may_be_many_choices(front, fields, n):
    body = front.post(CHAT, chat_body("hi", **fields)).get_json()
    assert [choice["index"] for choice in body["choices"]] == list(range(n))


def test_top_p_0_takes_the_most_probable_token(front):
    front.post(CHAT, chat_body(top_p=0))
    assert 0 < front.core.requests[0].sampling.top_p < 1e-5


def test_stream_options_that_have_no_effect_are_named(front):
    options = {"include_usage": False, "include_obfuscation": True}
    response = front.post(CHAT, chat_body(stream=True, stream_options=options))
    assert response.headers["X-Ignored-Fields"] == "stream_options.include_obfuscation"
    response.close()


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_that_does_not_fit_is_refused_with_the_numbers(start, stream):
    front = start(engine={"n_ctx": 8})
    response = front.post(CHAT, chat_body("x " * 20, stream=stream, n=2))
    error = error_of(response)
    assert response.status_code == 400
    assert error["code"] == "context_length_exceeded"
    assert f"This model's maximum context length is {error['n_ctx']} tokens" in error["message"]
    assert error["param"] == "messages"
    assert error["n_ctx"] == 8
    assert error["n_prompt_tokens"] > 20
    assert front.stream_limit.n_held == 0


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_before_the_first_token_has_its_status(front, stream):
    response = front.post(CHAT, chat_body("#refuse", stream=stream))
    assert response.status_code == 500
    assert error_of(response)["type"] == "server_error"


def test_an_error_in_mid_stream_is_the_last_event(front):
    *_, before, last = events_of(front.post(CHAT, chat_body("a b c #fail=2", stream=True, n=2)))
    assert before["choices"][0]["delta"]
    assert last["error"]["code"] == "internal_error"
    assert len(front.core.requests) == 2
    assert front.stream_limit.n_held == 0


def test_an_error_in_mid_answer_of_a_plain_request_has_its_status(front):
    response = front.post(CHAT, chat_body("a b c #fail=2"))
    assert response.status_code == 500
    assert error_of(response)["code"] == "internal_error"


@pytest.mark.parametrize("content", ["as before", [{"type": "text", "text": "as before"}]])
def test_a_prediction_is_a_draft(front, content):
    front.post(CHAT, chat_body(prediction={"type": "content", "content": content}))
    assert front.core.requests[-1].draft == "as before"
