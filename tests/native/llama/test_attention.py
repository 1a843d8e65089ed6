"""Attention without the one operation that computes all of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.native import LocalEngine
from pyserve.errors import ModelLoadError
from tests.native.conftest import Start
from tests.native.helpers import ask, assert_same_up_to_ties, read, submit
from tests.support.tiny import memories
from tests.support.tiny.latent import write_tiny_latent

SYSTEM = [65 + i * 7 % 26 for i in range(200)]
PROMPTS = [[*SYSTEM, 128 + number, 32 + number] for number in range(6)]


@pytest.mark.parametrize("kind", ["llama", *memories.KINDS])
def test_it_gives_the_same_answers_alone_together_and_after_what_is_kept(
    start: Start, kind: str
) -> None:
    engine, plain = start(kind), start(kind, flash_attn="off")
    expected = [ask(engine, prompt, n_logprobs=2) for prompt in PROMPTS]
    streams = [submit(plain, prompt, n_logprobs=2) for prompt in PROMPTS]
    for answer, stream in zip(expected, streams, strict=True):
        assert_same_up_to_ties(answer, read(stream))
    again = ask(plain, PROMPTS[0], n_logprobs=2)
    assert again.finish.usage.n_cached_tokens > 0
    assert_same_up_to_ties(expected[0], again)
    if kind in ("llama", "gemma3"):
        assert plain.info().compute_bytes > engine.info().compute_bytes


def test_many_query_heads_of_one_key_give_the_same_answers_alone_and_together(
    tmp_path: Path,
) -> None:
    path = str(write_tiny_latent(tmp_path / "latent.gguf"))
    config = EngineConfig(model_id="m", model_path=path, n_kv=4096, n_threads=2, kernels="auto")
    engine = LocalEngine(config)
    plain = LocalEngine(msgspec.structs.replace(config, flash_attn="off"))
    try:
        expected = [ask(plain, prompt, n_logprobs=2) for prompt in PROMPTS]
        for answer, prompt in zip(expected, PROMPTS, strict=True):
            assert_same_up_to_ties(answer, ask(engine, prompt, n_logprobs=2))
        streams = [submit(engine, prompt, n_logprobs=2) for prompt in PROMPTS]
        for answer, stream in zip(expected, streams, strict=True):
            assert_same_up_to_ties(answer, read(stream))
    finally:
        engine.close()
        plain.close()


def test_an_evicted_prefix_is_read_back(start: Start) -> None:
    engine = start("llama", flash_attn="off", n_kv=1024)
    first = ask(engine, PROMPTS[0], n_logprobs=2)
    for number in range(8):
        ask(engine, [40 + number] * 900)
    again = ask(engine, PROMPTS[0], n_logprobs=2)
    assert again.finish.usage.n_cached_tokens > 0
    assert_same_up_to_ties(first, again)


def test_a_draft_model_goes_on_guessing(start: Start, models: dict[str, object]) -> None:
    plain = start("llama", flash_attn="off")
    drafted = start("llama", flash_attn="off", draft_model_path=str(models["llama"]))
    expected = ask(plain, PROMPTS[0], n_logprobs=2)
    assert_same_up_to_ties(expected, ask(drafted, PROMPTS[0], n_logprobs=2))


def test_quantized_values_need_it_and_quantized_keys_do_not(models: dict[str, object]) -> None:
    config = EngineConfig(
        model_id="m", model_path=str(models["llama"]), flash_attn="off", cache_type_v="q8_0"
    )
    with pytest.raises(ModelLoadError, match="cached in q8_0: choose cache_type_v f16"):
        LocalEngine(config)
