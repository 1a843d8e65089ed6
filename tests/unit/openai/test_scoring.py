from __future__ import annotations

import pytest

from pyserve.engine.protocol import Delta, Finish, TokenLogprob, Usage
from pyserve.openai.answer import Output
from pyserve.openai.document.examples import INFO
from pyserve.openai.logprobs import LOWEST_LOGPROB
from pyserve.openai.scoring import Scoring, softmax

PARAMS = ("choices", "prompt")


def output_of(request, logprob):
    output = Output()
    usage = Usage(n_prompt_tokens=len(request.tokens), n_completion_tokens=1, n_cached_tokens=1)
    (token,) = request.sampling.allowed_token_ids
    scored = TokenLogprob(token, b"", logprob, [])
    output.push(Delta(logprobs=[scored], finish=Finish(reason="length", usage=usage)))
    return output


def test_a_text_has_the_sum_of_its_tokens():
    scoring = Scoring([1, 2], [[7, 8], [7], [9, 8, 8]], INFO, PARAMS)
    asked = [(each.tokens, each.sampling.allowed_token_ids) for each in scoring.requests]
    assert asked == [
        ([1, 2], [7]),
        ([1, 2], [9]),
        ([1, 2, 7], [8]),
        ([1, 2, 9], [8]),
        ([1, 2, 9, 8], [8]),
    ]
    assert scoring.requests[0].tokens is scoring.requests[1].tokens
    each = zip(scoring.requests, (-1.0, -2.0, -4.0, -8.0, -16.0), strict=True)
    outputs = [output_of(request, logprob) for request, logprob in each]
    assert scoring.logprobs(outputs) == [-5.0, -1.0, -26.0]
    assert scoring.lengths() == [2, 1, 3]
    usage = scoring.usage(outputs)
    assert (usage.prompt_tokens, usage.completion_tokens) == (2, 5)


def test_what_cannot_be_is_a_finite_number():
    scoring = Scoring([1], [[7], [8]], INFO, PARAMS)
    outputs = [output_of(request, float("-inf")) for request in scoring.requests]
    assert scoring.logprobs(outputs) == [LOWEST_LOGPROB, LOWEST_LOGPROB]


@pytest.mark.parametrize(
    ("logprobs", "expected"),
    [
        ([0.0], [1.0]),
        ([-3.0, -3.0], [0.5, 0.5]),
        ([-9999.0, -9999.0 * 4], [1.0, 0.0]),
        ([-1e6, -1e6], [0.5, 0.5]),
    ],
)
def test_probabilities_are_one_together(logprobs, expected):
    assert softmax(logprobs) == expected
