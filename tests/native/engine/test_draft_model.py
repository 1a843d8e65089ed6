"""A second model guesses how answers go on: fewer steps, the same answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.native import LocalEngine
from pyserve.engine.protocol import SamplingParams
from pyserve.errors import ModelLoadError
from tests.native.helpers import ask, assert_same_up_to_ties, read, submit
from tests.support.tiny.llama import write_tiny_llama

PROMPT = "the cat sat on the mat"
StartWith = Callable[..., LocalEngine]


@pytest.fixture(scope="module")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_llama(tmp_path_factory.mktemp("draft") / "other.gguf", seed=1)


@pytest.fixture
def start_with(tiny_model: Path) -> Iterator[StartWith]:
    """Starts the tiny model with a draft model, None: without."""
    engines: list[LocalEngine] = []

    def start_one(draft: Path | None, **fields: object) -> LocalEngine:
        path = "" if draft is None else str(draft)
        settings = {"n_kv": 2048, "n_batch": 16, "draft_model_path": path} | fields
        config = EngineConfig(model_id="tiny", model_path=str(tiny_model), **settings)
        engines.append(LocalEngine(config))
        return engines[-1]

    yield start_one
    for engine in engines:
        engine.close()


def test_a_model_guesses_its_own_answers_right(tiny_model: Path, start_with: StartWith) -> None:
    fields = {"max_tokens": 40, "n_logprobs": 2}
    expected = ask(start_with(None), PROMPT, n_draft_max=0, **fields)
    drafted = ask(start_with(tiny_model), PROMPT, **fields)
    assert_same_up_to_ties(expected, drafted)
    assert len(drafted.deltas) < len(expected.deltas)
    assert drafted.finish.usage.n_draft_accepted == 0  # it is no prediction of the client's


def test_a_model_that_knows_nothing_changes_nothing(
    other_model: Path, start_with: StartWith
) -> None:
    fields = {"max_tokens": 40, "n_logprobs": 2}
    for sampling in (SamplingParams(temperature=0), SamplingParams(temperature=1, seed=3)):
        expected = ask(start_with(None), PROMPT, n_draft_max=0, sampling=sampling, **fields)
        drafted = ask(start_with(other_model), PROMPT, sampling=sampling, **fields)
        assert_same_up_to_ties(expected, drafted)


def test_sequences_that_are_used_again_begin_anew(tiny_model: Path, start_with: StartWith) -> None:
    engine, plain = start_with(tiny_model, n_seq_max=2), start_with(None)
    prompts = [f"{i} the dog and the cat {i}" * (1 + i % 3) for i in range(5)]
    expected = [ask(plain, prompt, n_logprobs=2, n_draft_max=0) for prompt in prompts]
    streams = [submit(engine, prompt, n_logprobs=2) for prompt in prompts]
    for answer, drafted in zip(expected, map(read, streams), strict=True):
        assert_same_up_to_ties(answer, drafted)


def test_unlikely_and_short_guesses_are_not_checked(
    other_model: Path, start_with: StartWith
) -> None:
    engine = start_with(other_model, draft_p_min=0.999, n_draft_min=4)
    assert len(ask(engine, PROMPT, grammar="root ::= [a-z]{24}").text) == 24


def test_a_request_can_do_without(tiny_model: Path, start_with: StartWith) -> None:
    answer = ask(start_with(tiny_model), PROMPT, n_draft_max=0)
    assert len(answer.deltas) == answer.finish.usage.n_completion_tokens


def test_another_vocabulary_is_refused(tmp_path: Path, start_with: StartWith) -> None:
    larger = write_tiny_llama(tmp_path / "larger.gguf", n_vocab=2000)
    with pytest.raises(ModelLoadError, match="draft model cannot be used: it has 2000 tokens"):
        start_with(larger)


def test_a_model_that_cannot_undo_is_refused(
    models: dict[str, Path], start_with: StartWith
) -> None:
    with pytest.raises(ModelLoadError, match="draft model cannot be used"):
        start_with(models["mamba"])


def test_a_file_that_is_no_model_is_refused(tmp_path: Path, start_with: StartWith) -> None:
    (tmp_path / "no.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelLoadError):
        start_with(tmp_path / "no.gguf")
