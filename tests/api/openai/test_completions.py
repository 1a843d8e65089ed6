from __future__ import annotations

import pytest

from pyserve.engine.fake.script import FakeScript
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
        {
            "index": 0,
            "text": "A long time ago",
            "logprobs": None,
            "finish_reason": "stop",
            "stop_reason": None,
        }
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


@pytest.mark.parametrize("max_tokens", [0, 1])
def test_token_ids_are_scored_as_evaluation_harnesses_ask_for_it(front, max_tokens):
    tokens = front.core.tokenize("the cat sat on the mat", add_special=False, parse_special=False)
    body = {
        "prompt": [tokens, tokens[:3]],
        "temperature": 0,
        "max_tokens": max_tokens,
        "logprobs": 1,
        "seed": 1234,
        "echo": True,
    }
    choices = choices_of(front.post(COMPLETIONS, body))
    for choice, n_prompt in zip(choices, (6, 3), strict=True):
        arrays = choice["logprobs"]
        assert {len(values) for values in arrays.values()} == {n_prompt + max_tokens}
        assert arrays["token_logprobs"][0] is arrays["top_logprobs"][0] is None
        best = [max(top.values()) for top in arrays["top_logprobs"][1:]]
        assert arrays["token_logprobs"][1:] == best
        assert choice["text"].startswith("the cat sat on the mat"[: 22 if n_prompt == 6 else 11])
        assert choice["finish_reason"] == "length"


def test_no_tokens_and_no_echo_is_an_empty_answer(front):
    response = front.post(COMPLETIONS, {"prompt": "a b", "max_tokens": 0})
    assert choices_of(response) == [
        {
            "index": 0,
            "text": "",
            "logprobs": None,
            "finish_reason": "length",
            "stop_reason": None,
        }
    ]
    assert response.get_json()["usage"]["completion_tokens"] == 0


def test_an_echo_streams_as_it_is_told_plainly(front):
    body = {"prompt": ["a b c d e f", "g"], "echo": True, "logprobs": 1, "max_tokens": 2}
    plain = choices_of(front.post(COMPLETIONS, body))
    *events, _ = events_of(front.post(COMPLETIONS, {**body, "stream": True}))
    for index, expected in enumerate(plain):
        mine = [e["choices"][0] for e in events if e["choices"][0]["index"] == index]
        assert "".join(choice["text"] for choice in mine) == expected["text"]
        arrays = [choice["logprobs"] for choice in mine if choice["logprobs"]]
        for key, values in expected["logprobs"].items():
            assert [value for array in arrays for value in array[key]] == values


def test_the_likeliest_candidates_are_chosen(start):
    # The fake's tokens have -0.25, -0.375, -0.5, -0.125 in turn.
    front = start(FakeScript(texts=("one", "two three four five", "six seven")))
    response = front.post(COMPLETIONS, {"prompt": "p", "best_of": 3, "n": 1})
    assert [choice["text"] for choice in choices_of(response)] == ["one"]
    assert response.get_json()["usage"]["completion_tokens"] == 7
    assert len(front.core.requests) == 3


def test_a_suffix_reaches_a_model_that_can_fill_in_the_middle(start):
    front = start(FakeScript(texts=("middle",)), has_infill=True)
    body = {"prompt": "one two", "suffix": " three", "logprobs": 0}
    (choice,) = choices_of(front.post(COMPLETIONS, body))
    assert choice["text"] == "middle"
    assert choice["logprobs"]["text_offset"] == [len("one two")]
    (request,) = front.core.requests
    info = front.core.info()
    assert request.prompt is None
    assert [token for token in request.tokens or [] if token > 100] == [
        info.fim_pre_token,
        info.fim_suf_token,
        info.fim_mid_token,
    ]


def test_a_suffix_is_refused_by_a_model_that_cannot(front):
    response = front.post(COMPLETIONS, {"prompt": "one", "suffix": "three"})
    error = error_of(response)
    assert (response.status_code, error["param"]) == (400, "suffix")
    assert error["code"] == "unsupported_parameter"
    assert choices_of(front.post(COMPLETIONS, {"prompt": "one", "suffix": ""}))


def test_a_prediction_is_a_draft_of_every_prompt(front):
    prediction = {"type": "content", "content": "as before"}
    front.post(COMPLETIONS, {"prompt": ["a", "b"], "prediction": prediction})
    assert [request.draft for request in front.core.requests] == ["as before", "as before"]
