"""Requests of completions."""

from __future__ import annotations

import pytest

from pyserve.schemas.completions import CompletionRequest
from tests.support.bodies import USER
from tests.support.problems import completion_problem

SCORED = {"echo": True, "logprobs": 1, "max_tokens": 0}


@pytest.mark.parametrize(
    ("prompt", "prompts"),
    [
        (None, [""]),
        ("", [""]),
        ("a", ["a"]),
        (["a", ""], ["a", ""]),
        ([1, 0], [[1, 0]]),
        ([[1], [2, 3]], [[1], [2, 3]]),
    ],
)
def test_a_prompt_may_be_one_or_many_of_text_or_tokens(prompt, prompts):
    assert CompletionRequest.model_validate({"prompt": prompt}).prompts == prompts


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"prompt": []}, "prompt", "invalid_value"),
        ({"prompt": [[]]}, "prompt.0", "invalid_value"),
        ({"prompt": [[-1]]}, "prompt.0.0", "invalid_value"),
        ({"prompt": [[2**31]]}, "prompt.0.0", "invalid_value"),
        ({"prompt": ["a", 1]}, "prompt.1", "invalid_type"),
        ({"prompt": [1, "a"]}, "prompt.1", "invalid_type"),
        ({"prompt": [True]}, "prompt.0", "invalid_type"),
        ({"prompt": {"a": 1}}, "prompt", "invalid_type"),
        ({"prompt": ["a"] * 65}, "prompt", "invalid_value"),
        ({"prompt": ["a"] * 64, "n": 3}, "n", "invalid_value"),
        ({"prompt": ["é" * 2**19] * 3}, "prompt", "invalid_value"),
        ({"logprobs": 6}, "logprobs", "invalid_value"),
        ({"logprobs": True}, "logprobs", "invalid_type"),
        ({"max_tokens": -2}, "max_tokens", "invalid_value"),
        ({"best_of": 1, "n": 2}, "best_of", "invalid_value"),
        ({"best_of": 0}, "best_of", "invalid_value"),
        ({"best_of": 21}, "best_of", "invalid_value"),
        ({"best_of": 3, "n": 2, "stream": True}, "best_of", "invalid_value"),
        ({"best_of": 20, "prompt": ["a"] * 7}, "best_of", "invalid_value"),
        ({"echo": 0}, "echo", "invalid_type"),
        ({"prompt": [[1] * 2**17] * 2 + [[1]], **SCORED}, "prompt", "invalid_value"),
        ({"prompt": [[1] * 2**17], "best_of": 3, **SCORED}, "prompt", "invalid_value"),
        ({"prompt": "x" * 2**20 + "x", **SCORED}, "prompt", "invalid_value"),
        ({"prompt": [[1] * 74_899], "prompt_logprobs": 20}, "prompt", "invalid_value"),
        ({"prompt": "x" * 299_594, "prompt_logprobs": 20}, "prompt", "invalid_value"),
        ({"prompt_logprobs": 21}, "prompt_logprobs", "invalid_value"),
        ({"prompt_logprobs": -1}, "prompt_logprobs", "invalid_value"),
        ({"prompt_logprobs": True}, "prompt_logprobs", "invalid_type"),
        ({"prompt_logprobs": 0, "stream": True}, "prompt_logprobs", "invalid_value"),
        ({"suffix": 5}, "suffix", "invalid_type"),
        ({"suffix": "x", "echo": True}, "suffix", "invalid_value"),
        ({"suffix": "é" * 2**19, "prompt": ["a"] * 3}, "suffix", "invalid_value"),
        ({"messages": [USER]}, "messages", "unsupported_parameter"),
        ({"max_completion_tokens": 5}, "max_completion_tokens", "unsupported_parameter"),
        ({"prediction": "text"}, "prediction", "invalid_type"),
        (
            {"prediction": {"type": "content", "content": "x" * 2**21 + "x"}},
            "prediction",
            "invalid_value",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_completions_refuse(fields, param, code):
    assert completion_problem(**fields)[1:] == (param, code)
