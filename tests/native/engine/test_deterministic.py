"""Deterministic requests: the same bits whatever else runs and whatever is cached."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.native import LocalEngine
from pyserve.engine.protocol import SamplingParams
from pyserve.errors import CancelledError, DeadlineExceededError
from tests.native.helpers import Answer, ask, read, submit
from tests.support.endless import ENDLESS, occupy
from tests.support.tiny.llama import write_tiny_llama
from tests.support.tiny.memories import write_tiny

PROMPT = "this is a test of the cat that jumped out of the window a long time ago " * 2
DRAWN = SamplingParams(temperature=1.3, seed=11, ignore_eos=True)


@pytest.fixture(params=["llama", "gemma3", "mamba", "rwkv7", "jamba"])
def any_model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.gguf"
    return write_tiny_llama(path) if request.param == "llama" else write_tiny(path, request.param)


@pytest.fixture
def crowded(any_model: Path) -> Iterator[LocalEngine]:
    config = EngineConfig(
        model_id="tiny", model_path=str(any_model), n_ctx=256, n_kv=2048, n_threads=2
    )
    engine = LocalEngine(config)
    yield engine
    engine.close()


def bits(answer: Answer) -> list[tuple[int, float]]:
    return [(item.token, item.logprob) for item in answer.logprobs]


def test_the_crowd_and_the_cache_change_no_bit(crowded: LocalEngine) -> None:
    fields = {"sampling": DRAWN, "n_logprobs": 1, "deterministic": True}
    alone = ask(crowded, PROMPT, **fields)
    for n_others in (1, 5, 11):
        others = [submit(crowded, PROMPT[i:], max_tokens=40) for i in range(n_others)]
        again = [submit(crowded, PROMPT, **fields) for _ in range(2)]
        others += [submit(crowded, PROMPT[: 30 + i], max_tokens=40) for i in range(n_others)]
        for stream in again:
            answer = read(stream)
            assert bits(answer) == bits(alone)
            assert answer.text == alone.text
            assert answer.finish.usage.n_cached_tokens == 0
        for stream in others:
            assert read(stream).finish.reason == "length"


def test_greedy_in_a_crowd_of_its_kind_equals_greedy_alone(crowded: LocalEngine) -> None:
    prompts = [PROMPT[i : 40 + 5 * i] for i in range(8)]
    alone = [ask(crowded, prompt, deterministic=True, n_logprobs=0) for prompt in prompts]
    streams = [submit(crowded, prompt, deterministic=True, n_logprobs=0) for prompt in prompts]
    assert [bits(read(stream)) for stream in streams] == [bits(answer) for answer in alone]


def test_prompt_scores_are_the_same_bits(crowded: LocalEngine) -> None:
    fields = {"n_prompt_logprobs": 0, "max_tokens": 0, "deterministic": True}
    first, again = ask(crowded, PROMPT, **fields), ask(crowded, PROMPT, **fields)
    scores = [
        [item.logprob for delta in answer.deltas for item in delta.prompt_logprobs or []]
        for answer in (first, again)
    ]
    assert scores[0] == scores[1]
    assert len(scores[0]) == first.finish.usage.n_prompt_tokens


def test_they_can_be_cancelled_and_expire_while_others_go_on(tiny_model: Path) -> None:
    engine = LocalEngine(
        EngineConfig(model_id="tiny", model_path=str(tiny_model), n_ctx=ENDLESS, n_kv=ENDLESS)
    )
    running = occupy(engine, deterministic=True)
    waiting = submit(engine, "b", deterministic=True)
    late = submit(engine, "c", deterministic=True, deadline_ms=1.0)
    with pytest.raises(DeadlineExceededError, match="deadline was 1 ms"):
        list(late)
    running.cancel()
    with pytest.raises(CancelledError):
        list(running)
    assert read(waiting).finish.reason == "length"
    assert ask(engine, "d").finish.reason == "length"
    engine.close()
