"""Logits of a prompt's last tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.native import LocalEngine
from pyserve.errors import InvalidRequestError
from pyserve.llm.arrays import logits
from tests.native.conftest import Start
from tests.native.helpers import Answer, ask, read, submit
from tests.support.tiny.llama import N_VOCAB

PROMPT = [65 + (i * 7) % 50 for i in range(200)]


def rows(answer: Answer) -> np.ndarray:
    data = b"".join(delta.logits or b"" for delta in answer.deltas)
    return np.frombuffer(data, dtype="<f4").reshape(-1, N_VOCAB)


def softmax(row: np.ndarray) -> np.ndarray:
    powers = np.exp(row.astype(np.float64) - row.max())
    return powers / powers.sum()


@pytest.mark.parametrize("kind", ["llama", "mamba"])
def test_rows_are_what_the_log_probabilities_come_from(start: Start, kind: str) -> None:
    engine = start(kind)
    tokens = PROMPT[:70]
    scored = ask(engine, tokens, n_prompt_logprobs=0, n_logit_rows=70, max_tokens=0)
    told = [item.logprob for delta in scored.deltas for item in delta.prompt_logprobs or []]
    pairs = zip(rows(scored)[:-1], tokens[1:], strict=True)
    expected = [np.log(softmax(row)[token]) for row, token in pairs]

    assert rows(scored).shape == (70, N_VOCAB)
    assert told[1:] == pytest.approx(expected, abs=1e-4)


def test_the_last_row_is_what_the_answer_begins_with(engine: LocalEngine) -> None:
    answer = ask(engine, PROMPT, n_logit_rows=1, max_tokens=3, n_logprobs=0)

    assert rows(answer).shape == (1, N_VOCAB)
    assert answer.logprobs[0].token == rows(answer)[0].argmax()
    assert np.log(softmax(rows(answer)[0]).max()) == pytest.approx(
        answer.logprobs[0].logprob, abs=1e-4
    )


def test_what_is_before_the_rows_comes_from_the_cache(engine: LocalEngine) -> None:
    ask(engine, PROMPT, max_tokens=0)
    answer = ask(engine, PROMPT, n_logit_rows=30, max_tokens=0)

    assert rows(answer).shape == (30, N_VOCAB)
    assert answer.finish.usage.n_cached_tokens == len(PROMPT) - 30


@pytest.mark.parametrize("kind", ["llama", "mamba"])
def test_rows_in_slices_are_those_of_the_whole(start: Start, kind: str) -> None:
    engine = start(kind)
    whole = rows(ask(engine, PROMPT, n_logit_rows=200, max_tokens=0))

    assert logits(engine, PROMPT, None) == pytest.approx(whole, abs=2e-2)
    assert logits(engine, PROMPT, 3) == pytest.approx(whole[-3:], abs=2e-2)
    assert logits(engine, [], None).shape == (0, N_VOCAB)


def test_a_preempted_prompt_tells_its_rows_once(tiny_model: Path) -> None:
    engine = LocalEngine(EngineConfig(model_id="tiny", model_path=str(tiny_model), n_kv=256))
    streams = [submit(engine, PROMPT[i:], n_logit_rows=150, max_tokens=40) for i in range(4)]
    answers = [read(stream) for stream in streams]

    assert [len(rows(answer)) for answer in answers] == [150] * 4
    alone = rows(ask(engine, PROMPT, n_logit_rows=150, max_tokens=0))
    assert rows(answers[0]) == pytest.approx(alone, abs=2e-2)
    engine.close()


def test_a_deterministic_request_tells_its_rows(engine: LocalEngine) -> None:
    rows_alone = rows(ask(engine, PROMPT, n_logit_rows=150, max_tokens=0))
    told = rows(ask(engine, PROMPT, n_logit_rows=150, max_tokens=2, deterministic=True))
    assert told.shape == (150, N_VOCAB)
    assert told == pytest.approx(rows_alone, abs=2e-2)


def test_rows_and_drafts_do_not_mix(engine: LocalEngine) -> None:
    prompt = PROMPT[:50] * 3
    ask(engine, prompt, max_tokens=0)
    plain = ask(engine, prompt, max_tokens=24)
    told = ask(engine, prompt, n_logit_rows=1, max_tokens=24, n_draft_max=8, draft=plain.text)
    assert rows(told).shape == (1, N_VOCAB)
    assert told.text == plain.text


@pytest.mark.parametrize("n_rows", [-1, 201])
def test_rows_that_are_not_there_are_refused(engine: LocalEngine, n_rows: int) -> None:
    with pytest.raises(InvalidRequestError, match="the prompt has 200 tokens") as caught:
        ask(engine, PROMPT, n_logit_rows=n_rows)
    assert caught.value.param == "n_logit_rows"
