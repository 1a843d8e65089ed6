"""How requests of clients become those of the engine."""

from __future__ import annotations

import pytest

from pyserve.engine.protocol import (
    SamplingParams,
)
from pyserve.errors import InvalidRequestError
from pyserve.openai.chat.chat import chat_requests
from pyserve.openai.completions.completions import completion_requests
from tests.support.answers import INFO
from tests.support.bodies import chat, completion


def test_absent_fields_take_the_engines_defaults():
    (request,) = chat_requests(chat(), INFO)
    assert request.sampling == SamplingParams()
    assert request.max_tokens is None
    assert request.n_logprobs is None
    assert request.stop == []


def test_every_sampling_field_reaches_the_engine():
    fields = {
        "temperature": 0.5,
        "dynatemp_range": 0.25,
        "dynatemp_exponent": 2.0,
        "top_k": 3,
        "top_p": 0.5,
        "min_p": 0.25,
        "typical_p": 0.75,
        "top_n_sigma": 1.0,
        "min_keep": 2,
        "xtc_probability": 0.5,
        "xtc_threshold": 0.25,
        "repeat_penalty": 1.5,
        "repeat_last_n": -1,
        "frequency_penalty": -1.0,
        "presence_penalty": 1.0,
        "dry_multiplier": 0.5,
        "dry_base": 2.0,
        "dry_allowed_length": 3,
        "dry_penalty_last_n": -1,
        "mirostat": 2,
        "mirostat_tau": 4.0,
        "mirostat_eta": 0.25,
        "adaptive_target": 0.5,
        "adaptive_decay": 0.75,
        "seed": 7,
        "ignore_eos": True,
        "allowed_token_ids": [3, 4],
        "bad_words": ["bad"],
    }
    others = {
        "dry_sequence_breakers": ("x",),
        "samplers": "kt",
        "logit_bias": {5: -100.0},
    }
    body = chat(
        **fields,
        logit_bias={"5": -100},
        samplers=["top_k", "temperature"],
        dry_sequence_breakers=["x"],
    )
    (request,) = chat_requests(body, INFO)
    assert request.sampling == SamplingParams(**fields, **others)
    assert {*fields, *others} == set(SamplingParams.__struct_fields__)


def test_what_ends_an_answer_reaches_the_engine():
    fields = {"stop_token_ids": [3], "min_tokens": 2}
    body = chat(**fields, include_stop_str_in_output=True, t_max_predict_ms=50)
    (request,) = chat_requests(body, INFO)
    assert (request.stop_token_ids, request.min_tokens) == ([3], 2)
    assert (request.shows_stop, request.max_decode_ms) == (True, 50)
    assert chat_requests(chat(ban_eos_token=True), INFO)[0].sampling.ignore_eos


@pytest.mark.parametrize("limit", [None, 0, -1])
def test_below_one_millisecond_there_is_no_limit_of_time(limit):
    assert chat_requests(chat(t_max_predict_ms=limit), INFO)[0].max_decode_ms is None


def test_repetition_penalty_is_another_name_of_repeat_penalty():
    for fields in ({}, {"repeat_penalty": 1.5}):
        (request,) = chat_requests(chat(repetition_penalty=1.5, **fields), INFO)
        assert request.sampling.repeat_penalty == 1.5


def test_temperature_zero_is_not_absent():
    assert chat_requests(chat(temperature=0), INFO)[0].sampling.temperature == 0


def test_minus_one_switches_top_k_off_and_the_seed_to_random():
    sampling = chat_requests(chat(top_k=-1, seed=-1), INFO)[0].sampling
    assert sampling.top_k == 0
    assert sampling.seed is None


@pytest.mark.parametrize(
    ("seed", "seeds"), [(7, [7, 8, 9]), (2**63 - 2, [2**63 - 2, 2**63 - 1, 0])]
)
def test_n_choices_count_the_seed_up_within_int64(seed, seeds):
    assert [r.sampling.seed for r in chat_requests(chat(seed=seed, n=3), INFO)] == seeds


def test_choices_without_a_seed_are_left_to_chance():
    assert [r.sampling.seed for r in chat_requests(chat(n=2), INFO)] == [None, None]


@pytest.mark.parametrize(
    ("fields", "max_tokens"),
    [
        ({"max_tokens": 1, "max_completion_tokens": 2, "n_predict": 3}, 2),
        ({"max_tokens": 1, "n_predict": 3}, 1),
        ({"n_predict": 3}, 3),
        ({"n_predict": -1}, None),
        ({}, None),
    ],
)
def test_the_newest_name_of_the_limit_wins(fields, max_tokens):
    assert chat_requests(chat(**fields), INFO)[0].max_tokens == max_tokens


def test_tokens_outside_the_vocabulary_are_refused():
    for fields in (
        {"logit_bias": {str(INFO.n_vocab): 1}},
        {"stop_token_ids": [0, INFO.n_vocab]},
        {"allowed_token_ids": [INFO.n_vocab]},
    ):
        with pytest.raises(InvalidRequestError) as caught:
            chat_requests(chat(**fields), INFO)
        assert [caught.value.param] == list(fields)
    with pytest.raises(InvalidRequestError) as caught:
        completion_requests(completion(prompt=[[0], [INFO.n_vocab]]), INFO)
    assert caught.value.param == "prompt"
    assert completion_requests(completion(prompt=[INFO.n_vocab - 1]), INFO)
