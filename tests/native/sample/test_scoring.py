"""Log-probabilities of prompts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.native import LocalEngine
from pyserve.engine.protocol import SamplingParams, TokenLogprob
from pyserve.errors import NumericError
from tests.native.helpers import Answer, ask, read, submit
from tests.support.kernels import has_our_kernels
from tests.support.tiny.llama import N_VOCAB, write_tiny_llama
from tests.support.tiny.memories import write_tiny

PROMPT = [65 + (i * 7) % 50 for i in range(200)]
CHUNK = 64


@pytest.fixture(params=["llama", "mamba"])
def engine_of_any_memory(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalEngine]:
    path = tmp_path_factory.mktemp("models") / "tiny.gguf"
    if request.param == "llama":
        write_tiny_llama(path)
    else:
        write_tiny(path, request.param)
    engine = LocalEngine(EngineConfig(model_id="tiny", model_path=str(path), n_ctx=256, n_kv=2048))
    yield engine
    engine.close()


def scores(answer: Answer) -> list[TokenLogprob]:
    return [item for delta in answer.deltas for item in delta.prompt_logprobs or []]


def values(answer: Answer) -> list[float]:
    return [item.logprob for item in scores(answer)]


def test_every_token_is_scored_once_in_bounded_chunks(engine: LocalEngine) -> None:
    answer = ask(engine, PROMPT, n_prompt_logprobs=0, max_tokens=0)
    assert [item.token for item in scores(answer)] == PROMPT
    assert max(len(delta.prompt_logprobs or []) for delta in answer.deltas) <= CHUNK + 1
    assert scores(answer)[0].logprob == 0
    assert all(item.logprob < 0 for item in scores(answer)[1:])
    assert answer.text == ""
    assert answer.finish.reason == "length"
    assert answer.finish.usage.n_completion_tokens == 0


def test_all_alternatives_together_are_certain(engine: LocalEngine) -> None:
    for item in scores(ask(engine, PROMPT[:40], n_prompt_logprobs=N_VOCAB, max_tokens=0))[1:]:
        assert len(item.top) == N_VOCAB
        assert sum(math.exp(top.logprob) for top in item.top) == pytest.approx(1, abs=1e-5)
        assert item.logprob in [top.logprob for top in item.top if top.token == item.token]


def test_scores_are_those_of_the_tokens_when_they_were_generated(
    engine_of_any_memory: LocalEngine,
) -> None:
    engine = engine_of_any_memory
    sampling = SamplingParams(temperature=1.0, seed=3, ignore_eos=True)
    answer = ask(engine, PROMPT[:70], sampling=sampling, max_tokens=60, n_logprobs=0)
    tokens = PROMPT[:70] + [item.token for item in answer.logprobs]
    scored = values(ask(engine, tokens, n_prompt_logprobs=0, max_tokens=0))[70:]
    # llama.cpp's kernels round activations in other ways for one token and for many.
    near = 1e-3 if has_our_kernels() else 0.05
    assert scored == pytest.approx([item.logprob for item in answer.logprobs], abs=near)


def test_scores_do_not_depend_on_the_cache_or_on_company(engine_of_any_memory: LocalEngine) -> None:
    engine = engine_of_any_memory
    first = ask(engine, PROMPT, n_prompt_logprobs=0, max_tokens=1)
    streams = [submit(engine, PROMPT[i:], n_prompt_logprobs=0, max_tokens=1) for i in range(6)]
    streams += [submit(engine, PROMPT[:i]) for i in range(20, 60, 10)]
    again = [read(stream) for stream in streams]
    assert values(again[0]) == pytest.approx(values(first), abs=1e-3)
    assert again[0].finish.usage.n_cached_tokens == 0
    assert [len(scores(answer)) for answer in again] == [200, 199, 198, 197, 196, 195, 0, 0, 0, 0]


def test_a_preempted_prompt_is_scored_once(tiny_model: Path) -> None:
    config = EngineConfig(model_id="tiny", model_path=str(tiny_model), n_kv=256)
    engine = LocalEngine(config)
    streams = [submit(engine, PROMPT[i:], n_prompt_logprobs=0, max_tokens=40) for i in range(4)]
    for i, stream in enumerate(streams):
        assert [item.token for item in scores(read(stream))] == PROMPT[i:]
    engine.close()


def test_a_prompt_can_be_computed_without_an_answer(engine: LocalEngine) -> None:
    answer = ask(engine, PROMPT, max_tokens=0)
    assert answer.finish.usage.n_completion_tokens == 0
    assert ask(engine, PROMPT, max_tokens=1).finish.usage.n_cached_tokens == len(PROMPT) - 1


def test_nan_fails_its_own_request_only(tmp_path: Path) -> None:
    nan = 90
    path = write_tiny_llama(tmp_path / "nan.gguf", nan_token=nan)
    engine = LocalEngine(EngineConfig(model_id="nan", model_path=str(path), n_kv=2048))
    sampling = SamplingParams(temperature=0, ignore_eos=True, logit_bias={nan: -100})
    for fields in ({}, {"n_prompt_logprobs": 0}):
        good = [submit(engine, [65, 66, 67 + i], sampling=sampling) for i in range(4)]
        bad = submit(engine, [65, 66, nan, 67], **fields)
        with pytest.raises(NumericError, match="NaN"):
            read(bad)
        assert all(read(stream).finish.reason == "length" for stream in good)
    engine.close()
