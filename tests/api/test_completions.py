from __future__ import annotations

import pytest

from pyserve.engine.fake_script import FakeScript
from tests.support.front import COMPLETIONS, error_of, events_of


def choices_of(response):
    assert response.status_code == 200
    return response.get_json()["choices"]


def test_a_plain_answer(front):
    response = front.post(COMPLETIONS, {"prompt": "A long time ago"})
    body = response.get_json()
    assert body["object"] == "text_completion"
    assert body["id"].startswith("cmpl-")
    assert body["choices"] == [
        {"index": 0, "text": "A long time ago", "logprobs": None, "finish_reason": "stop"}
    ]
    assert body["usage"]["total_tokens"] == 9


def test_sixteen_tokens_are_the_default(front):
    (choice,) = choices_of(front.post(COMPLETIONS, {"prompt": "a " * 20}))
    assert len(choice["text"].split()) == 16
    assert choice["finish_reason"] == "length"


@pytest.mark.parametrize("body", [{}, {"prompt": None}, {"prompt": ""}])
def test_no_prompt_is_an_empty_one(front, body):
    assert front.post(COMPLETIONS, body).status_code == 200
    assert front.core.requests[0].prompt == ""


def test_choices_are_numbered_prompt_by_prompt(front):
    choices = choices_of(front.post(COMPLETIONS, {"prompt": ["a", "b"], "n": 2}))
    assert [(choice["index"], choice["text"]) for choice in choices] == [
        (0, "a"),
        (1, "a"),
        (2, "b"),
        (3, "b"),
    ]


def test_token_ids_are_a_prompt(front):
    tokens = front.core.tokenize("x y", add_special=True, parse_special=False)
    choices = choices_of(front.post(COMPLETIONS, {"prompt": [tokens, tokens[:2]], "logprobs": 0}))
    assert [choice["text"] for choice in choices] == ["x y", "x"]
    assert [choice["logprobs"]["text_offset"] for choice in choices] == [[3, 4], [1]]


def test_a_token_that_the_model_does_not_have_is_refused(front):
    response = front.post(COMPLETIONS, {"prompt": [2**31 - 1]})
    assert response.status_code == 400
    assert error_of(response)["param"] == "prompt"
    assert front.core.requests == []


def test_a_streamed_answer_equals_the_plain_one(start):
    front = start(FakeScript(texts=("one é two", "three four")))
    body = {"prompt": ["p", "q"], "logprobs": 2}
    plain = choices_of(front.post(COMPLETIONS, body))
    *events, done = events_of(front.post(COMPLETIONS, {**body, "stream": True}))
    assert done == "[DONE]"
    assert {event["object"] for event in events} == {"text_completion"}
    for index, expected in enumerate(plain):
        mine = [e["choices"][0] for e in events if e["choices"][0]["index"] == index]
        assert "".join(choice["text"] for choice in mine) == expected["text"]
        assert [c["finish_reason"] for c in mine if c["finish_reason"]] == ["stop"]
        arrays = [choice["logprobs"] for choice in mine if choice["logprobs"]]
        for key, values in expected["logprobs"].items():
            assert [value for array in arrays for value in array[key]] == values


def test_an_error_in_mid_stream_is_the_last_event(front):
    *_, last = events_of(front.post(COMPLETIONS, {"prompt": "a b #fail=1", "stream": True}))
    assert last["error"]["type"] == "server_error"


@pytest.mark.parametrize("path", ["/completions", "/v1/engines/tiny/completions"])
def test_other_paths_lead_to_the_same(front, path):
    assert choices_of(front.post(path, {"prompt": "hi"}))[0]["text"] == "hi"


def test_a_prompt_that_does_not_fit_is_refused(start):
    front = start(engine={"n_ctx": 8})
    response = front.post(COMPLETIONS, {"prompt": ["short", "x " * 20]})
    error = error_of(response)
    assert response.status_code == 400
    assert (error["code"], error["param"]) == ("context_length_exceeded", "prompt")
    assert front.stream_limit.n_held == 0
