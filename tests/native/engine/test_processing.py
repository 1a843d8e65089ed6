"""Logits processors in Python over the native engine."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from pyserve.engine.native import LocalEngine
from pyserve.engine.protocol import GenerateRequest, SamplingParams
from pyserve.errors import CancelledError, InvalidRequestError, NumericError, PyserveError
from pyserve.llm.processing import Processing
from tests.native.helpers import Answer
from tests.support.limits import SOON_S
from tests.support.server import wait_until
from tests.support.tiny.llama import N_VOCAB

PROMPT = [65 + (i * 7) % 50 for i in range(40)]
SAMPLING = SamplingParams(temperature=1.0, seed=7, repeat_penalty=1.1)


def ask(engine: Any, **fields: Any) -> Answer:
    fields = {"sampling": SAMPLING, "max_tokens": 24, "tokens": PROMPT, **fields}
    return Answer(list(engine.submit(GenerateRequest(**fields))))


def tokens_of(answer: Answer) -> list[int]:
    return [token for delta in answer.deltas for token in delta.tokens]


def keep(_tokens: Any, _logits: Any) -> None:
    """Changes nothing."""


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"stop": ["e", "a"], "max_tokens": 60},
        {"grammar": 'root ::= [a-z]+ " " [0-9]+', "sampling": SamplingParams(temperature=0.0)},
        {"sampling": SamplingParams(temperature=0.9, seed=3, logit_bias={70: 5.0, 71: -5.0})},
        {"min_tokens": 5, "stop_token_ids": list(range(60, 90))},
    ],
)
def test_a_processor_that_changes_nothing_changes_no_answer(
    engine: LocalEngine, fields: dict[str, Any]
) -> None:
    plain = ask(engine, **fields)
    stepped = ask(Processing([keep]).over(engine), **fields)

    assert tokens_of(stepped) == tokens_of(plain)
    assert stepped.text == plain.text
    assert stepped.finish.reason == plain.finish.reason
    assert stepped.finish.stop_string == plain.finish.stop_string
    assert stepped.finish.usage.n_completion_tokens == plain.finish.usage.n_completion_tokens


def test_processors_see_all_tokens_and_change_the_logits_in_turn(engine: LocalEngine) -> None:
    seen: list[list[int]] = []

    def only_two(tokens: Any, logits: Any) -> np.ndarray:
        seen.append(tokens.tolist())
        assert logits.shape == (N_VOCAB,)
        kept = np.full_like(logits, -np.inf)
        kept[[80, 90]] = logits[[80, 90]]
        return kept

    def not_90(_tokens: Any, logits: Any) -> None:
        assert np.isfinite(logits).sum() == 2
        logits[90] = -np.inf

    answer = ask(Processing([only_two, not_90]).over(engine), max_tokens=3)

    assert tokens_of(answer) == [80, 80, 80]
    assert seen == [PROMPT, [*PROMPT, 80], [*PROMPT, 80, 80]]


def test_what_a_processor_raises_is_kept_for_the_caller(engine: LocalEngine) -> None:
    def fail(_tokens: Any, _logits: Any) -> None:
        raise KeyError("mine")

    processing = Processing([fail])
    with pytest.raises(PyserveError):
        ask(processing.over(engine))
    assert isinstance(processing.error, KeyError)


@pytest.mark.parametrize(
    ("value", "error", "match"),
    [
        (np.nan, NumericError, "NaN or infinite"),
        (np.inf, NumericError, "NaN or infinite"),
        (-np.inf, NumericError, "left no token"),
    ],
)
def test_logits_that_leave_nothing_to_choose_are_an_error(
    engine: LocalEngine, value: float, error: type[Exception], match: str
) -> None:
    processing = Processing([lambda _tokens, logits: np.full_like(logits, value)])
    with pytest.raises(error, match=match):
        ask(processing.over(engine))


def test_another_number_of_logits_is_an_error(engine: LocalEngine) -> None:
    processing = Processing([lambda _tokens, logits: logits[1:]])
    with pytest.raises(InvalidRequestError, match="made"):
        ask(processing.over(engine))


def test_a_cancelled_request_ends_and_its_processors_with_it(engine: LocalEngine) -> None:
    has_begun, goes_on = threading.Event(), threading.Event()

    def wait(_tokens: Any, _logits: Any) -> None:
        has_begun.set()
        goes_on.wait(SOON_S)

    request = GenerateRequest(tokens=PROMPT, sampling=SAMPLING)
    stream = Processing([wait]).over(engine).submit(request)
    assert has_begun.wait(SOON_S)
    stream.cancel()
    goes_on.set()
    with pytest.raises(CancelledError):
        list(stream)
    wait_until(lambda: engine.stats().n_running == 0, SOON_S, "it has ended")


def test_log_probabilities_are_refused(engine: LocalEngine) -> None:
    with pytest.raises(InvalidRequestError, match="no log-probabilities"):
        ask(Processing([keep]).over(engine), n_logprobs=1)
