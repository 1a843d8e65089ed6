"""POST /infill, as editors ask llama-server for it."""

from __future__ import annotations

import pytest

from pyserve.engine.fake.script import FakeScript
from tests.support.front import error_of, events_of

PATH = "/infill"
BODY = {"input_prefix": "def f():", "input_suffix": " return x"}
# What llama.vim sends beside the texts.
EDITOR = {
    "n_predict": 128,
    "stop": [],
    "n_indent": 4,
    "top_k": 40,
    "top_p": 0.9,
    "stream": False,
    "samplers": ["top_k", "top_p", "infill"],
    "cache_prompt": True,
    "t_max_prompt_ms": 500,
    "t_max_predict_ms": 1000,
    "response_fields": ["content", "timings/prompt_n", "truncated", "tokens_cached"],
}


@pytest.fixture
def able(start):
    return start(FakeScript(texts=("x = 1",)), has_infill=True)


def prompt_of(front):
    """The words of the last prompt, with the names of the control tokens."""
    info = front.core.info()
    names = {info.fim_pre_token: "PRE", info.fim_suf_token: "SUF", info.fim_mid_token: "MID"}
    tokens = front.core.requests[-1].tokens
    return [names.get(token) or front.core.detokenize([token]) for token in tokens]


def test_what_is_around_a_place_is_arranged_for_the_model(able):
    answer = able.post(PATH, {**BODY, "prompt": " y ="}).get_json()
    assert (answer["content"], answer["stop_type"]) == ("x = 1", "eos")
    assert prompt_of(able) == ["", "PRE", "def", " f():", " y", " =", "SUF", " return", " x", "MID"]
    *_, last = events_of(able.post(PATH, {**BODY, "stream": True}))
    assert (last["stop"], last["tokens_predicted"]) == (True, 3)


def test_other_files_stand_in_front(able):
    extra = [{"text": "one", "filename": "a.py"}, {"text": "two"}]
    able.post(PATH, {**BODY, "input_extra": extra})
    words = prompt_of(able)
    other = "".join(words[: words.index("PRE")]).split()
    assert other == ["---", "a.py", "---", "one", "---", "filename", "---", "two"]


def test_a_request_of_an_editor_is_answered_with_what_it_wants_to_see(able):
    response = able.post(PATH, {**BODY, **EDITOR, "input_extra": []})
    assert response.get_json() == {
        "content": "x = 1",
        "timings/prompt_n": 8,
        "truncated": False,
        "tokens_cached": 0,
    }
    assert response.headers["X-Ignored-Fields"] == "n_indent, t_max_prompt_ms"
    assert able.core.requests[-1].sampling.samplers == "kp"
    assert able.post(PATH, {**BODY, "n_predict": 0, "response_fields": [""]}).get_json() == {}


def test_what_does_not_fit_is_cut_and_the_place_survives(start):
    front = start(FakeScript(texts=("x",)), has_infill=True, engine={"n_ctx": 64})
    around = {"input_prefix": "p " * 99 + "here", "input_suffix": "there" + " s" * 99}
    extra = [{"text": "other " * 99}]
    assert front.post(PATH, {**around, "input_extra": extra, "n_predict": 16}).status_code == 200
    words = prompt_of(front)
    at = words.index("SUF")
    assert len(words) <= 64 - 16
    assert (words[1], words[at - 1], words[at + 1]) == ("PRE", " here", "there")
    assert 2 * (len(words) - at) < at


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input_prefix": None}, "input_prefix"),
        ({"input_suffix": None}, "input_suffix"),
        ({"input_suffix": ["a"]}, "input_suffix"),
        ({"input_extra": "text"}, "input_extra"),
        ({"input_extra": [{"filename": "f"}]}, "input_extra.0.text"),
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"samplers": ["infill", "other"]}, "samplers.0"),
        ({"input_prefix": "a" * 2**21, "input_suffix": "b"}, "input_suffix"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_by_name(able, fields, param):
    response = able.post(PATH, {**BODY, **fields})
    assert (response.status_code, error_of(response)["param"]) == (400, param)


def test_a_model_that_cannot_is_told_so(front):
    response = front.post(PATH, BODY)
    error = error_of(response)
    assert (response.status_code, error["code"]) == (400, "unsupported_parameter")
    assert "fill-in-the-middle" in error["message"]


def test_the_context_of_a_request_bounds_its_prompt(able):
    body = {**BODY, "input_prefix": "p " * 99, "num_ctx": 32, "n_predict": 8}
    assert able.post(PATH, body).status_code == 200
    assert len(able.core.requests[-1].tokens) <= 24
