"""POST /completion, llama-server's own."""

from __future__ import annotations

import pytest

from pyserve.engine.fake.script import FakeScript
from tests.support.front import COMPLETIONS, error_of, events_of

PATH = "/completion"


def test_a_plain_answer(front):
    body = front.post(PATH, {"prompt": "A long time ago", "temperature": 0.5}).get_json()
    assert (body["content"], body["stop"], body["index"]) == ("A long time ago", True, 0)
    assert (body["stop_type"], body["stopping_word"], body["tokens"]) == ("eos", "", [])
    assert (body["tokens_evaluated"], body["tokens_predicted"], body["tokens_cached"]) == (5, 4, 0)
    assert (body["prompt"], body["model"], body["truncated"]) == ("A long time ago", "tiny", False)
    assert not body["has_new_line"]
    settings = body["generation_settings"]
    assert (settings["temperature"], settings["n_predict"], settings["stream"]) == (0.5, -1, False)
    timings = body["timings"]
    assert (timings["prompt_n"], timings["predicted_n"], timings["cache_n"]) == (5, 4, 0)
    assert "completion_probabilities" not in body


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ("a b c d", "eos", "")),
        ({"n_predict": 2}, ("a b", "limit", "")),
        ({"n_predict": -1}, ("a b c d", "eos", "")),
        ({"n_predict": 0}, ("", "limit", "")),
        ({"stop": ["x", " c"]}, ("a b", "word", " c")),
    ],
)
def test_what_ended_an_answer(start, fields, expected):
    front = start(FakeScript(texts=("a b c d",)))
    for stream in (False, True):
        response = front.post(PATH, {"prompt": "p", **fields, "stream": stream})
        parts = events_of(response) if stream else [response.get_json()]
        text = "".join(part["content"] for part in parts)
        last = parts[-1]
        assert (text, last["stop_type"], last["stopping_word"]) == expected


def test_an_answer_has_no_limit_of_its_own(front):
    body = front.post(PATH, {"prompt": "a " * 40}).get_json()
    assert len(body["content"].split()) == 40


def test_a_stream_ends_with_a_part_that_says_so(start):
    front = start(FakeScript(texts=("one é\ntwo",)))
    body = {"prompt": "p", "n_probs": 2, "return_tokens": True}
    plain = front.post(PATH, body).get_json()
    response = front.post(PATH, {**body, "stream": True})
    *parts, last = events_of(response)
    assert "[DONE]" not in response.text
    assert [part["stop"] for part in parts] == [False] * len(parts)
    for name in ("tokens", "completion_probabilities"):
        assert [one for part in parts for one in part[name]] == plain[name]
    assert plain["tokens"]
    first = plain["completion_probabilities"][0]
    assert (first["token"], bytes(first["bytes"])) == ("one", b"one")
    best, other = first["top_logprobs"]
    assert first["logprob"] == best["logprob"] > other["logprob"]
    assert (last["content"], last["tokens"], last["stop"]) == ("", [], True)
    assert last["has_new_line"]
    for name in ("tokens_predicted", "tokens_evaluated", "stop_type", "prompt"):
        assert last[name] == plain[name]


def test_several_prompts_are_answered_in_a_list(front):
    answers = front.post(PATH, {"prompt": ["a", "b c"]}).get_json()
    assert [(each["index"], each["content"]) for each in answers] == [(0, "a"), (1, "b c")]
    parts = events_of(front.post(PATH, {"prompt": ["a", "b c"], "stream": True}))
    for index, text in enumerate(["a", "b c"]):
        mine = [part for part in parts if part["index"] == index]
        assert "".join(part["content"] for part in mine) == text
        assert [part["stop"] for part in mine][-1]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (
            ["content", "generation_settings/top_k"],
            {"content": "a", "generation_settings/top_k": 7},
        ),
        (["timings/predicted_n"], {"timings/predicted_n": 1}),
        (["", "nothing", "content/deeper", "prompt/"], {}),
    ],
)
def test_response_fields_choose_what_is_shown(front, paths, expected):
    body = {"prompt": "a", "top_k": 7, "response_fields": paths}
    assert front.post(PATH, body).get_json() == expected
    *_, last = events_of(front.post(PATH, {**body, "stream": True}))
    assert last == {**expected, **({"content": ""} if "content" in expected else {})}


def test_a_stream_tells_the_progress_and_the_times_where_they_are_asked_for(front):
    body = {"prompt": "a b", "stream": True, "timings_per_token": True, "return_progress": True}
    first, *parts, last = events_of(front.post(PATH, body))
    assert first["prompt_progress"]["total"] == 3
    texts = [part for part in parts if part["content"]]
    assert [part["timings"]["predicted_n"] for part in texts] == [1, 2]
    assert last["timings"]["predicted_n"] == 2


def test_token_ids_are_shown_as_their_text(front):
    tokens = front.core.tokenize("x y", add_special=False, parse_special=False)
    assert front.post(PATH, {"prompt": tokens}).get_json()["prompt"] == "x y"


@pytest.mark.parametrize(
    ("prompt", "texts"),
    [
        (["x y", [5]], ["x y", [5]]),
        ([7, "x", 8], [[7, "x", 8]]),
        (["x", 7], [["x", 7]]),
        ([[7, "x"], "y"], [[7, "x"], "y"]),
        ({"prompt_string": "x"}, ["x"]),
        ([{"prompt_string": "x"}, "y", {"content": [{"type": "text", "text": "z"}]}], "xyz"),
    ],
)
def test_texts_and_tokens_may_be_mixed(front, prompt, texts):
    def tokens(parts):
        if isinstance(parts, str):
            return front.core.tokenize(parts, add_special=True, parse_special=True)
        found = []
        for n, each in enumerate(parts):
            is_text = isinstance(each, str)
            add = n == 0
            found += (
                front.core.tokenize(each, add_special=add, parse_special=True)
                if is_text
                else [each]
            )
        return found

    body = front.post(PATH, {"prompt": prompt, "n_predict": 1})
    assert body.status_code == 200, body.get_json()
    answers = body.get_json() if len(texts) > 1 else [body.get_json()]
    requests = front.core.requests
    found = [each.tokens if each.prompt is None else tokens(each.prompt) for each in requests]
    assert found == [tokens(text) for text in texts]
    assert [answer["tokens_evaluated"] for answer in answers] == [len(each) for each in found]


@pytest.mark.parametrize(
    ("prompt", "code"),
    [
        ([["x", None]], "invalid_type"),
        ([1, True, "x"], "invalid_type"),
        ([1, "x", [2]], "invalid_type"),
        (["x", [-1]], "invalid_value"),
        (["x", [10**6]], "invalid_value"),
        (["x", []], "invalid_value"),
        ({"content": "x"}, "invalid_type"),
        ({"prompt_string": "x", "multimodal_data": ["eA=="]}, "unsupported_content"),
        ({"content": [{"type": "image_url", "image_url": {"url": "u"}}]}, "unsupported_content"),
        (["x", [1]] * 33, "invalid_value"),
        (["x" * 1_100_000, [1, "y" * 1_100_000]], "invalid_value"),
    ],
)
def test_a_mixture_of_other_things_is_refused(front, prompt, code):
    response = front.post(PATH, {"prompt": prompt})
    error = error_of(response)
    assert (response.status_code, error["code"]) == (400, code), error
    assert error["param"].startswith("prompt")


def test_the_settings_are_shown_as_llama_server_shows_them(front):
    bias = [["x", False], [7, 1.5]]
    body = {"prompt": "x", "logit_bias": bias, "samplers": ["top_k", "min_p"], "seed": -1}
    settings = front.post(PATH, body).get_json()["generation_settings"]
    (x,) = front.core.tokenize("x", add_special=False, parse_special=True)
    assert settings["logit_bias"] == [{"bias": None, "token": x}, {"bias": 1.5, "token": 7}]
    assert (settings["samplers"], settings["seed"]) == (["top_k", "min_p"], 2**32 - 1)
    assert (
        front.post(PATH, {"prompt": "x", "seed": 5}).get_json()["generation_settings"]["seed"] == 5
    )


@pytest.mark.parametrize("field", ["echo", "suffix", "best_of", "return_token_ids"])
def test_what_is_not_here_is_refused(front, field):
    value = {"suffix": "s", "best_of": 2}.get(field, True)
    response = front.post(PATH, {"prompt": "p", field: value})
    assert (response.status_code, error_of(response)["param"]) == (400, field)


def test_a_stream_that_fails_ends_with_the_error(start):
    front = start(FakeScript(texts=("a b c",), fail_after=1))
    *_, last = events_of(front.post(PATH, {"prompt": "p", "stream": True}))
    assert last["error"]["code"] == "internal_error"


def test_the_bare_completions_are_llama_servers_where_that_is_wanted(start):
    front = start(llama_native_completions=True)
    for path in ("/completions", "/engines/tiny/completions"):
        assert front.post(path, {"prompt": "p"}).get_json()["content"] == "p"
    assert front.post(COMPLETIONS, {"prompt": "p"}).get_json()["choices"]
    assert start().post("/completions", {"prompt": "p"}).get_json()["choices"]
