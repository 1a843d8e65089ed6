"""The same question again: the same bits, whatever is cached and whoever else asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.native import LocalEngine, quantize
from pyserve.engine.quantize_job import QuantizeJob
from tests.native.helpers import Answer, ask, read, submit
from tests.support.kernels import has_our_kernels
from tests.support.tiny.llama import write_tiny_llama
from tests.support.tiny.memories import write_tiny

pytestmark = pytest.mark.skipif(not has_our_kernels(), reason="a promise of our kernels")

PROMPT = "this is a test of the cat that jumped out of the window a long time ago " * 3
OTHERS = [f"{i} and the black cat say hello to the world " * (1 + i % 3) for i in range(9)]


@pytest.fixture(scope="module", params=["llama Q4_1", "gemma3 Q8_0", "mamba2 Q8_0"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    family, kind = request.param.split()
    folder = tmp_path_factory.mktemp("model")
    source, target = folder / "source.gguf", folder / "tiny.gguf"
    if family == "llama":
        write_tiny_llama(source)
    else:
        write_tiny(source, family)
    quantize(QuantizeJob(path_in=str(source), path_out=str(target), type=kind, n_threads=1))
    return target


def start(model: Path, **fields: int) -> LocalEngine:
    settings = {"n_ctx": 256, "n_kv": 640, "n_threads": 2, "n_threads_batch": 2, **fields}
    return LocalEngine(EngineConfig(model_id="tiny", model_path=str(model), **settings))


@pytest.fixture
def engine(model: Path) -> Iterator[LocalEngine]:
    engine = start(model)
    yield engine
    engine.close()


def bits(answer: Answer) -> list[tuple[int, float]]:
    return [(item.token, item.logprob) for item in answer.logprobs]


def answer(engine: LocalEngine) -> Answer:
    return ask(engine, PROMPT, n_logprobs=0, max_tokens=80)


def test_a_cached_prompt_is_answered_like_a_new_one(engine: LocalEngine) -> None:
    cold = answer(engine)
    warm = answer(engine)
    assert cold.finish.usage.n_cached_tokens == 0 < warm.finish.usage.n_cached_tokens
    assert bits(warm) == bits(cold)


def test_it_does_not_matter_which_cells_others_have_left(engine: LocalEngine) -> None:
    expected = bits(answer(engine))
    for i, other in enumerate(OTHERS):
        # More than the cache holds: prefixes go, and free cells lie here and there.
        others = [submit(engine, f"{k} {other}", max_tokens=20 + 7 * k) for k in range(1 + i % 4)]
        for stream in others:
            read(stream)
        assert bits(answer(engine)) == expected


def test_company_changes_no_bit(engine: LocalEngine) -> None:
    expected = bits(answer(engine))
    for n_others in (1, 3, 7):
        before = [submit(engine, OTHERS[i], max_tokens=20 + i) for i in range(n_others)]
        stream = submit(engine, PROMPT, n_logprobs=0, max_tokens=80)
        after = [submit(engine, OTHERS[-1 - i], max_tokens=20 + i) for i in range(n_others)]
        assert bits(read(stream)) == expected
        for other in before + after:
            read(other)


def test_threads_and_pieces_of_the_prompt_change_no_bit(model: Path) -> None:
    answers = []
    for fields in ({}, {"n_threads": 1, "n_threads_batch": 1}, {"n_batch": 19}):
        engine = start(model, **fields)
        answers.append(bits(answer(engine)))
        engine.close()
    assert answers[1:] == answers[:1] * 2
