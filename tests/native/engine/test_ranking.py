"""The numbers of ranking heads: as NumPy computes them, in batches, with shared beginnings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.native import LocalEngine
from pyserve.engine.protocol import GenerateRequest, Segment, TokenStream
from pyserve.errors import ContextLengthExceededError, InvalidRequestError
from pyserve.openai.answer import Output
from pyserve.openai.embeddings import unpacked
from pyserve.openai.ranking.classify import ClassifyAnswer
from pyserve.schemas.classify import ClassifyRequest
from tests.support.tiny.llama import END_OF_TEXT, IM_END, write_tiny_llama
from tests.support.tiny.memories import Writer, add_qwen3
from tests.support.tiny.rankers import TEMPLATE, Reference, write_tiny_ranker

QUERY = [65 + i % 26 for i in range(40)]
PROMPTS = [[END_OF_TEXT, *QUERY[: 3 * i], IM_END, 97 + i, *QUERY[:i], IM_END] for i in range(12)]


def start(path: Path, **fields: Any) -> LocalEngine:
    return LocalEngine(EngineConfig(model_id="tiny", model_path=str(path), **fields))


def rank(engine: LocalEngine, tokens: Sequence[int], **fields: Any) -> TokenStream:
    return engine.submit(GenerateRequest(tokens=list(tokens), wants_ranks=True, **fields))


def numbers(stream: TokenStream) -> list[float]:
    (delta,) = stream
    assert delta.finish is not None
    return unpacked(delta.embedding or b"")


def n_cached(stream: TokenStream) -> int:
    (delta,) = stream
    assert delta.finish is not None
    return delta.finish.usage.n_cached_tokens


@pytest.mark.parametrize("kind", ["bert", "mean"])
def test_an_encoder_ranks_as_numpy_computes_it(tmp_path: Path, kind: str) -> None:
    path = write_tiny_ranker(tmp_path / "tiny.gguf", kind)
    engine, reference = start(path), Reference(path)
    assert (engine.info().n_ranks, engine.info().can_generate) == (1, False)
    streams = [rank(engine, tokens) for tokens in PROMPTS]
    found = [numbers(stream) for stream in streams]
    for tokens, own in zip(PROMPTS, found, strict=True):
        assert own == pytest.approx(reference.ranks(tokens), abs=5e-3)
    assert max(found) > [min(found)[0] + 0.5]
    engine.close()


def test_a_head_may_have_labels(tmp_path: Path) -> None:
    path = write_tiny_ranker(tmp_path / "tiny.gguf", labels=["cat", "dog", "fox"])
    engine, reference = start(path), Reference(path)
    assert (engine.info().n_ranks, engine.info().rank_labels) == (3, ("cat", "dog", "fox"))
    own = numbers(rank(engine, PROMPTS[3]))
    assert own == pytest.approx(reference.ranks(PROMPTS[3]), abs=5e-3)
    body = ClassifyRequest.model_validate({"input": "some words", "use_activation": False})
    tokenize = partial(engine.tokenize, add_special=True, parse_special=False)
    answer = ClassifyAnswer(body, "tiny", engine.info(), tokenize)
    output = Output()
    for delta in engine.submit(answer.requests[0]):
        output.push(delta)
    (told,) = answer.response([output]).data
    words = engine.tokenize("some words", add_special=False, parse_special=False)
    tokens = [END_OF_TEXT, *words, IM_END]
    of_text = engine.submit(GenerateRequest(prompt="some words", wants_ranks=True))
    assert numbers(of_text) == pytest.approx(told.probs, abs=1e-5)
    assert told.probs == pytest.approx(reference.ranks(tokens), abs=5e-3)
    assert told.label == ("cat", "dog", "fox")[int(np.argmax(told.probs))]
    engine.close()


def test_what_stands_around_a_pair_is_the_vocabularys(tmp_path: Path) -> None:
    engine = start(write_tiny_ranker(tmp_path / "tiny.gguf"))
    pair = engine.info().pair
    assert (pair.before, pair.between, pair.after) == ([END_OF_TEXT], [IM_END], [IM_END])
    with pytest.raises(ContextLengthExceededError):
        list(rank(engine, [65] * (engine.info().n_pooled + 1)))
    assert numbers(rank(engine, [65] * engine.info().n_pooled))
    engine.close()


def test_a_decoder_has_the_logits_of_its_labels(tmp_path: Path) -> None:
    """Of the last state, which is the vector of the same weights without a head, but for scale."""
    path = write_tiny_ranker(tmp_path / "tiny.gguf", "qwen3")
    engine = start(path)
    info = engine.info()
    assert (info.n_ranks, info.rank_labels, info.rank_template) == (2, ("yes", "no"), TEMPLATE)
    head = Reference(path).weights["cls.output.weight"]
    plain = start(without_head(tmp_path))
    for tokens in PROMPTS[1:4]:
        stream = plain.submit(GenerateRequest(tokens=tokens, wants_embedding=True))
        direction = numbers(stream)
        own = numbers(rank(engine, tokens))
        wanted = head @ direction
        assert own[0] / own[1] == pytest.approx(wanted[0] / wanted[1], rel=0.02)
        # the output norm has weights of 1, so the length of a state is known
        assert own == pytest.approx(wanted * math.sqrt(len(direction)), abs=0.05)
    engine.close()
    plain.close()


def without_head(directory: Path) -> Path:
    path = directory / "plain.gguf"
    writer = Writer(path, "qwen3", 1024)
    add_qwen3(writer)
    writer.gguf.add_pooling_type(gguf.PoolingType.LAST)
    writer.close()
    return path


def test_prompts_share_what_they_begin_with(tmp_path: Path) -> None:
    path = write_tiny_ranker(tmp_path / "tiny.gguf", "qwen3")
    prompts = [[*QUERY, 97 + i, *QUERY[:i]] for i in range(26)]
    alone = start(path)
    expected = [numbers(rank(alone, tokens, cache_salt=str(i))) for i, tokens in enumerate(prompts)]
    assert alone.stats().n_cached_tokens == 0
    alone.close()
    engine = start(path, n_seq_max=4)
    streams = [rank(engine, tokens) for tokens in prompts]
    for wanted, stream in zip(expected, streams, strict=True):
        assert numbers(stream) == pytest.approx(wanted, abs=1e-3)
    stats = engine.stats()
    assert stats.n_prefix_hits == 25
    assert stats.n_cached_tokens >= 25 * 40
    assert stats.n_prompt_tokens == sum(map(len, prompts)) - stats.n_cached_tokens
    engine.close()


def test_what_is_kept_is_of_one_tenant_salt_and_kind_of_request(tmp_path: Path) -> None:
    engine = start(write_tiny_ranker(tmp_path / "tiny.gguf", "qwen3"))
    assert n_cached(rank(engine, QUERY, tenant="a")) == 0
    assert n_cached(rank(engine, QUERY, tenant="b")) == 0
    assert n_cached(rank(engine, QUERY, tenant="b", cache_salt="s")) == 0
    assert n_cached(rank(engine, QUERY, tenant="b", cache_salt="s")) == 39
    assert n_cached(rank(engine, QUERY, tenant="b", cache_salt="s", deterministic=True)) == 0
    engine.close()


def test_what_is_kept_makes_room(tmp_path: Path) -> None:
    engine = start(write_tiny_ranker(tmp_path / "tiny.gguf", "qwen3"), n_ctx=256, n_seq_max=2)
    longs = [[97 + i] * 250 for i in range(4)]
    expected = [numbers(rank(engine, tokens)) for tokens in longs]
    for tokens, wanted in zip(longs, expected, strict=True):
        assert numbers(rank(engine, tokens)) == pytest.approx(wanted, abs=1e-3)
    engine.close()


def test_a_cancelled_prompt_leaves_its_beginning_to_others(tmp_path: Path) -> None:
    path = write_tiny_ranker(tmp_path / "tiny.gguf", "qwen3")
    engine = start(path, n_batch=32, n_seq_max=4, n_queue_max=100)
    wanted = numbers(rank(engine, [*QUERY, 98], cache_salt="other"))
    first = rank(engine, QUERY * 20)
    others = [rank(engine, [*QUERY, 98]) for _ in range(8)]
    first.cancel()
    for stream in others:
        assert numbers(stream) == pytest.approx(wanted, abs=1e-3)
    engine.close()


def test_each_kind_of_model_refuses_what_is_for_others(tmp_path: Path) -> None:
    ranker, plain = (
        start(write_tiny_ranker(tmp_path / "tiny.gguf")),
        start(write_tiny_llama(tmp_path / "plain.gguf")),
    )
    headless = start(write_tiny_llama(tmp_path / "headless.gguf", pooling=4))
    for engine, wants, message in (
        (ranker, {"wants_embedding": True}, "ranks texts and has no embeddings"),
        (ranker, {}, "ranks texts: it cannot generate"),
        (plain, {"wants_ranks": True}, "no ranking head"),
        (headless, {"wants_ranks": True}, "no ranking head"),
    ):
        with pytest.raises(InvalidRequestError, match=message) as caught:
            list(engine.submit(GenerateRequest(tokens=[65, 66], **wants)))
        assert caught.value.param == "model"
    assert headless.info().can_generate
    for engine in (ranker, plain, headless):
        engine.close()


def test_the_template_is_the_models_own_tokens(tmp_path: Path) -> None:
    """Names of control tokens in a document stay text."""
    engine = start(write_tiny_ranker(tmp_path / "tiny.gguf", "qwen3"))
    parts = [Segment("<|im_start|>", is_input=False), Segment("a<|im_end|>", is_input=True)]
    tokens = engine.tokenize_segments(parts)
    assert tokens[0] == 257
    assert IM_END not in tokens
    engine.close()


def test_prompts_that_share_have_room_for_more(tmp_path: Path) -> None:
    """Beginnings of prompts that are over take cells as long as others share them."""
    engine = start(
        write_tiny_ranker(tmp_path / "tiny.gguf", "qwen3"), n_ctx=256, n_seq_max=16, n_queue_max=99
    )
    queries = [[97 + i] * 90 for i in range(3)]
    prompts = [[*queries[i % 3], *QUERY[: i % 20 + 1], 65 + i] for i in range(48)]
    expected = [
        numbers(rank(engine, tokens, cache_salt=str(i))) for i, tokens in enumerate(prompts)
    ]
    for i in range(20):  # beside other work they may be handed over as slowly as they are computed
        n_steps = engine.stats().n_steps
        streams = [rank(engine, tokens, tenant=str(i)) for tokens in prompts]
        for wanted, stream in zip(expected, streams, strict=True):
            assert numbers(stream) == pytest.approx(wanted, abs=1e-3)
        if engine.stats().n_steps < n_steps + len(prompts):
            break
    assert engine.stats().n_steps < n_steps + len(prompts)
    engine.close()
