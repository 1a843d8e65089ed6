"""The vector of a prompt: alone, in a batch, in parts, on every kind of memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gguf
import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.native import LocalEngine
from pyserve.engine.protocol import GenerateRequest, TokenStream
from pyserve.errors import (
    CancelledError,
    ContextLengthExceededError,
    DeadlineExceededError,
    InvalidRequestError,
    NumericError,
)
from pyserve.openai.embeddings import unpacked
from tests.native.helpers import ask, assert_same_up_to_ties, submit
from tests.support.tiny.llama import write_tiny_llama
from tests.support.tiny.memories import write_tiny
from tests.support.tiny.vocabularies import add_unigram, add_wordpiece

TEXTS = [f"{'the cat ' * (5 * i % 17)}jumped out of window {i}" for i in range(24)]
LONG = [65 + i % 26 for i in range(256)]


@pytest.fixture(params=["llama", "gemma3", "mamba", "rwkv7", "jamba"])
def any_model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.gguf"
    return write_tiny_llama(path) if request.param == "llama" else write_tiny(path, request.param)


def start(path: Path, **fields: Any) -> LocalEngine:
    fields.setdefault("n_ctx", 256)
    return LocalEngine(EngineConfig(model_id="tiny", model_path=str(path), **fields))


def embed(engine: LocalEngine, value: str | Sequence[int], **fields: Any) -> TokenStream:
    if isinstance(value, str):
        return engine.submit(GenerateRequest(prompt=value, wants_embedding=True, **fields))
    return engine.submit(GenerateRequest(tokens=list(value), wants_embedding=True, **fields))


def vector(stream: TokenStream) -> list[float]:
    (delta,) = stream
    assert delta.finish is not None
    assert delta.text == ""
    assert delta.finish.usage.n_completion_tokens == 0
    assert delta.finish.usage.n_prompt_tokens == stream.n_prompt_tokens
    return unpacked(delta.embedding or b"")


def test_in_a_batch_as_alone(any_model: Path) -> None:
    engine = start(any_model)
    alone = [vector(embed(engine, text)) for text in TEXTS]
    for _ in range(20):  # beside other work they may be handed over as slowly as they are computed
        n_steps = engine.stats().n_steps
        streams = [embed(engine, text) for text in TEXTS]
        together = [vector(stream) for stream in streams]
        if engine.stats().n_steps < n_steps + len(TEXTS):
            break
    assert engine.stats().n_steps < n_steps + len(TEXTS)
    for one, other in zip(alone, together, strict=True):
        assert math.hypot(*one) == pytest.approx(1, abs=1e-5)
        assert one == pytest.approx(other, abs=1e-3)
    assert min(math.dist(alone[0], other) for other in alone[1:]) > 0.01
    engine.close()


def test_in_parts_as_whole(any_model: Path) -> None:
    whole, parts = start(any_model), start(any_model, n_batch=32)
    for tokens in (LONG, LONG[:33], LONG[:1]):
        expected = vector(embed(whole, tokens))
        assert vector(embed(parts, tokens)) == pytest.approx(expected, abs=1e-3)
    assert parts.stats().n_steps == 8 + 2 + 1
    whole.close()
    parts.close()


def test_beside_answers_both_are_as_alone(any_model: Path) -> None:
    engine = start(any_model, n_kv=1024)
    expected = vector(embed(engine, LONG))
    alone = ask(engine, "the cat", n_logprobs=2, max_tokens=40)
    answers = [submit(engine, "the cat", n_logprobs=2, max_tokens=40) for _ in range(3)]
    vectors = [embed(engine, LONG) for _ in range(6)]
    for stream in vectors:
        assert vector(stream) == pytest.approx(expected, abs=1e-3)
    for stream in answers:
        assert_same_up_to_ties(alone, type(alone)(list(stream)))
    engine.close()


def test_more_than_there_are_sequences_and_cells(tiny_model: Path) -> None:
    engine = start(tiny_model, n_seq_max=2, n_queue_max=40)
    values = [LONG[: 250 - 6 * i] for i in range(30)]
    streams = [embed(engine, value) for value in values]
    for value, stream in zip(values, streams, strict=True):
        assert vector(stream) == pytest.approx(vector(embed(engine, value)), abs=1e-3)
    engine.close()


def test_a_deterministic_engine_gives_the_same_bits_in_a_crowd(tiny_model: Path) -> None:
    engine = start(tiny_model, deterministic=True)
    alone = vector(embed(engine, LONG))
    answer = submit(engine, "the cat", max_tokens=40)
    streams = [embed(engine, value) for value in (LONG[:70], LONG, LONG[3:], LONG)]
    vectors = [vector(stream) for stream in streams]
    assert vectors[1] == vectors[3] == alone
    assert list(answer)[-1].finish is not None
    engine.close()


def pooled(directory: Path, pooling: int | None) -> LocalEngine:
    return start(write_tiny_llama(directory / f"{pooling}.gguf", pooling=pooling))


def test_pooling_is_what_the_file_says(tmp_path: Path) -> None:
    mean, first, last = (pooled(tmp_path, pooling) for pooling in (1, 2, 3))
    unsaid = pooled(tmp_path, None)
    a, b = [70], LONG[:20]
    assert vector(embed(unsaid, b)) == vector(embed(mean, b))
    # A state depends on what comes before it: the first one is that of the token alone.
    assert vector(embed(first, a + b)) == pytest.approx(vector(embed(mean, a)), abs=1e-3)
    assert vector(embed(last, a)) == pytest.approx(vector(embed(mean, a)), abs=1e-3)
    assert math.dist(vector(embed(last, b)), vector(embed(mean, b))) > 0.01
    assert math.dist(vector(embed(last, b)), vector(embed(first, b))) > 0.01
    for engine in (mean, first, last, unsaid):
        engine.close()


@pytest.mark.parametrize("add_vocabulary", [add_wordpiece, add_unigram])
def test_a_text_has_what_its_vocabulary_puts_around_it(
    tmp_path: Path, add_vocabulary: Callable[[gguf.GGUFWriter, int], None]
) -> None:
    path = write_tiny_llama(tmp_path / "tiny.gguf", pooling=3, add_vocabulary=add_vocabulary)
    engine, text, end = start(path), "a the aa", 2
    bare, framed = (
        engine.tokenize(text, add_special=is_framed, parse_special=False)
        for is_framed in (False, True)
    )
    assert framed[-1] == end != bare[-1]
    own = vector(embed(engine, text))
    assert own == pytest.approx(vector(embed(engine, framed)), abs=1e-5)
    assert math.dist(own, vector(embed(engine, bare))) > 0.01
    engine.close()


def test_a_prompt_may_fill_the_context_and_no_more(tiny_model: Path) -> None:
    engine = start(tiny_model)
    assert len(vector(embed(engine, LONG))) == engine.info().n_embd
    with pytest.raises(ContextLengthExceededError) as caught:
        list(embed(engine, [*LONG, 65]))
    assert caught.value.details == {"n_prompt_tokens": 257, "n_ctx": 256}
    engine.close()


def test_tokens_that_see_those_after_them_are_computed_in_one_step(tmp_path: Path) -> None:
    engine = start(write_tiny_llama(tmp_path / "both.gguf", pooling=2, causal=False), n_batch=64)
    alone, more = vector(embed(engine, LONG[:1])), vector(embed(engine, LONG[:64]))
    assert math.dist(alone, more) > 0.01
    n_steps = engine.stats().n_steps
    streams = [embed(engine, LONG[: 40 + i]) for i in range(4)]
    assert [len(vector(stream)) for stream in streams] == [len(alone)] * 4
    assert engine.stats().n_steps == n_steps + 4
    with pytest.raises(ContextLengthExceededError, match=r"65 tokens.* at most 64"):
        list(embed(engine, LONG[:65]))
    engine.close()


def test_a_model_that_ranks_is_refused(tmp_path: Path) -> None:
    engine = pooled(tmp_path, 4)
    with pytest.raises(InvalidRequestError, match="ranks"):
        list(embed(engine, LONG))
    engine.close()


def test_nan_fails_that_request_alone(tmp_path: Path) -> None:
    engine = start(write_tiny_llama(tmp_path / "nan.gguf", nan_token=66))
    good, bad, also_good = (embed(engine, value) for value in ([65, 67], [65, 66], [70]))
    assert len(vector(good)) == len(vector(also_good))
    with pytest.raises(NumericError):
        list(bad)
    engine.close()


def test_cancel_deadline_and_stop(tiny_model: Path) -> None:
    engine = start(tiny_model, n_seq_max=1, n_queue_max=200, n_batch=32)
    streams = [embed(engine, LONG) for _ in range(100)]
    late = embed(engine, LONG, deadline_ms=1.0)
    streams[50].cancel()
    with pytest.raises(CancelledError):
        list(streams[50])
    with pytest.raises(DeadlineExceededError, match="deadline was 1 ms"):
        list(late)
    assert vector(streams[0]) == pytest.approx(vector(streams[49]), abs=1e-3)
    engine.close()
    with pytest.raises(CancelledError):
        list(streams[99])
