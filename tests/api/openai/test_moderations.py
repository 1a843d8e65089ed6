"""POST /v1/moderations over the fake engine, whose answers' tokens are equally probable."""

from __future__ import annotations

import pytest

from pyserve.models.profile import ModelProfile
from tests.support.client import client_of
from tests.support.front import GUARD, error_of

PATH = "/v1/moderations"


@pytest.fixture
def guard(start):
    return start(chat_template=GUARD)


def test_each_text_is_judged(guard):
    body = guard.post(PATH, {"input": ["kill", "sing"], "model": "omni-moderation-latest"})
    assert body.status_code == 200, body.get_json()
    told = body.get_json()
    assert told["id"].startswith("modr-")
    assert told["model"] == "tiny"
    for result in told["results"]:
        assert len(result["categories"]) == len(result["category_scores"]) == 13
        assert set(result["category_applied_input_types"]["hate"]) == {"text"}
        assert result["flagged"]  # a tie is a half
        assert result["categories"]["violence"]
        assert result["category_scores"]["violence"] == 0.25
        assert result["guard"]["categories"]["S2: Non-Violent Crimes"] == 0.25
    prompts = {guard.engine.detokenize(each.tokens) for each in guard.core.requests}
    assert any("kill" in prompt for prompt in prompts)
    assert not any("kill" in prompt and "sing" in prompt for prompt in prompts)


def test_the_official_client_reads_it(guard, client_of_guard):
    told = client_of_guard.moderations.create(input="kill", model="omni-moderation-latest")
    assert told.results[0].flagged
    assert told.results[0].categories.violence
    parts = [{"type": "text", "text": "kill"}, {"type": "text", "text": "or sing"}]
    told = client_of_guard.moderations.create(input=parts)
    assert len(told.results) == 1


@pytest.fixture
def client_of_guard(guard):
    with client_of(guard, is_strict=True) as client:
        yield client


@pytest.mark.parametrize(
    ("settings", "body"),
    [
        ({"models": ("a", "b")}, {"input": "x"}),
        ({"models": ("a", "b")}, {"input": "x", "model": "omni-moderation-latest"}),
        ({"models": ("a", "b"), "default_model": ["a"]}, {"input": "x"}),
        ({"models": ("a", "b")}, {"input": "x", "model": "a"}),
        ({}, {"input": "x"}),
        ({}, {"input": "x", "model": "tiny"}),
    ],
)
def test_without_a_guard_it_is_said_how_to_have_one(start, settings, body):
    front = start(**settings)
    response = front.post(PATH, body)
    error = error_of(response)
    assert (response.status_code, error["code"]) == (404, "model_not_found")
    assert "--default-model moderation=MODEL" in error["message"]
    assert all(not core.requests for core in front.cores.values())


def test_the_configured_model_answers(start):
    front = start(models=("a", "b"), chat_template=GUARD, default_model=["moderation=b"])
    assert front.post(PATH, {"input": "x"}).get_json()["model"] == "b"
    profiles = {"a": ModelProfile(usecases=("moderation",))}
    front = start(models=("a", "b"), chat_template=GUARD, profiles=profiles)
    assert front.post(PATH, {"input": "x"}).get_json()["model"] == "a"
    assert front.post(PATH, {"input": "x", "model": "b"}).get_json()["model"] == "b"


PICTURE = {"type": "image_url", "image_url": {"url": "data:,"}}


@pytest.mark.parametrize(
    ("value", "param"),
    [
        (None, "input"),
        ([], "input"),
        (5, "input"),
        (["a", 1], "input.1"),
        ([{"type": "text"}], "input.0.text"),
        ([{"type": "text", "text": "a"}, PICTURE], "input.1"),
        ([{"type": "audio", "text": "a"}], "input.0.type"),
        (["a"] * 65, "input"),
        ("a" * 2100000, "input"),
    ],
)
def test_what_is_wrong_is_named(guard, value, param):
    response = guard.post(PATH, {"input": value})
    assert (response.status_code, error_of(response)["param"]) == (400, param)
    assert not guard.core.requests


def test_a_text_that_is_too_long_is_named(start):
    front = start(chat_template=GUARD, engine={"n_ctx": 50})
    response = front.post(PATH, {"input": ["short", "long " * 60]})
    error = error_of(response)
    assert (error["code"], error["param"]) == ("context_length_exceeded", "input.1")
