"""Fields that say how tokens are chosen, and how many."""

from __future__ import annotations

import math

import pytest

from pyserve.engine.protocol import SamplingParams
from pyserve.schemas.chat import ChatRequest
from tests.support.bodies import USER
from tests.support.problems import chat_problem

RANGES = {
    "temperature": (0, 2, -0.001, 2.001),
    "top_p": (0, 1, -0.001, 1.001),
    "top_k": (-1, 2**31 - 1, -2, 2**31),
    "min_p": (0, 1, -0.001, 1.001),
    "typical_p": (0.0001, 1, 0, 1.001),
    "frequency_penalty": (-2, 2, -2.001, 2.001),
    "presence_penalty": (-2, 2, -2.001, 2.001),
    "repeat_penalty": (0.0001, 10, 0.00009, 10.001),
    "repetition_penalty": (0.0001, 10, 0.00009, 10.001),
    "dynatemp_range": (0, 100, -0.001, 100.001),
    "dynatemp_exponent": (0, 100, -0.001, 100.001),
    "top_n_sigma": (-1, 100, -1.001, 100.001),
    "min_keep": (0, 2**31 - 1, -1, 2**31),
    "xtc_probability": (0, 1, -0.001, 1.001),
    "xtc_threshold": (0, 1, -0.001, 1.001),
    "dry_multiplier": (0, 100, -0.001, 100.001),
    "dry_base": (1, 100, 0.999, 100.001),
    "dry_allowed_length": (0, 2**31 - 1, -1, 2**31),
    "dry_penalty_last_n": (-1, 2**31 - 1, -2, 2**31),
    "mirostat": (0, 2, -1, 3),
    "mirostat_tau": (0, 100, -0.001, 100.001),
    "mirostat_eta": (0, 1, -0.001, 1.001),
    "adaptive_target": (-1, 1, -1.001, 1.001),
    "adaptive_decay": (0, 0.99, -0.001, 0.991),
    "repeat_last_n": (-1, 65536, -2, 65537),
    "n": (1, 128, 0, 129),
    "seed": (-(2**63), 2**63 - 1, -(2**63) - 1, 2**63),
    "max_tokens": (-1, 2**31 - 1, -2, 2**31),
    "priority": (-100, 100, -101, 101),
}

INTEGERS = (
    "top_k",
    "repeat_last_n",
    "min_keep",
    "dry_allowed_length",
    "dry_penalty_last_n",
    "mirostat",
    "n",
    "seed",
    "max_tokens",
    "priority",
)


@pytest.mark.parametrize("name", RANGES)
def test_a_range_ends_where_it_says(name):
    lowest, highest, below, above = RANGES[name]
    for value in (lowest, highest, None):
        body = ChatRequest.model_validate({"messages": [USER], name: value})
        assert getattr(body, name) == value
    for value in (below, above):
        assert chat_problem(**{name: value})[1:] == (name, "invalid_value")


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("value", [True, "1", [1], {}])
def test_a_number_must_be_a_number(name, value):
    assert chat_problem(**{name: value})[1:] == (name, "invalid_type")


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("value", [1.0, 1.5, 1e30])
def test_an_integer_must_be_written_as_one(name, value):
    assert chat_problem(**{name: value})[1:] == (name, "invalid_type")


@pytest.mark.parametrize(
    ("given", "biases"),
    [
        ({}, {}),
        ([], {}),
        ({"5": 1, "7": False}, {5: 1, 7: -math.inf}),
        ([[5, 1], [7, False], [5, -2.5]], {5: -1.5, 7: -math.inf}),
        ([[5, False], [5, 100]], {5: -math.inf}),
    ],
)
def test_biases_come_as_an_object_or_as_pairs(given, biases):
    assert (
        ChatRequest.model_validate({"messages": [USER], "logit_bias": given}).logit_bias == biases
    )


@pytest.mark.parametrize(
    ("given", "letters"),
    [
        ([], ""),
        ("", ""),
        ("kpt", "kpt"),
        (["top_k", "Top-P", "minp", "TEMP", "nucleus"], "kpmtp"),
        (
            [
                "penalties",
                "dry",
                "top_n_sigma",
                "top_k",
                "typ_p",
                "top_p",
                "min_p",
                "xtc",
                "temperature",
                "adaptive_p",
            ],
            SamplingParams().samplers,
        ),
    ],
)
def test_samplers_come_as_names_or_letters(given, letters):
    assert ChatRequest.model_validate({"messages": [USER], "samplers": given}).samplers == letters
