"""Predictions of memory; tests/native holds them against the engine's own sums."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from pyserve.engine.config import EngineConfig, Override
from pyserve.models.memory import (
    memory_need,
    predict_memory,
    predicted_bytes,
    roomy_context,
    weight_bytes,
)
from tests.support.tiny.llama import write_tiny_llama

LLAMA = {
    "general.architecture": "llama",
    "llama.block_count": 2,
    "llama.embedding_length": 64,
    "llama.feed_forward_length": 128,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "llama.context_length": 100_000,
}


def config(**settings: object) -> EngineConfig:
    return EngineConfig(model_id="m", model_path="", **settings)


def kv_bytes(metadata: dict[str, object], **settings: object) -> int:
    return memory_need(metadata, 0, config(**settings)).kv


def test_a_cache_has_keys_and_values_of_every_layer_and_cell():
    assert kv_bytes(LLAMA, n_ctx=1000) == 2 * 2 * (16 + 16) * 2 * 1000
    assert kv_bytes(LLAMA, n_ctx=1000, n_kv=3000) == 2 * 2 * (16 + 16) * 2 * 3000


def test_the_context_is_the_models_own_but_at_most_8192_tokens():
    assert kv_bytes(LLAMA) == kv_bytes(LLAMA, n_ctx=8192)
    assert kv_bytes(LLAMA | {"llama.context_length": 512}) == kv_bytes(LLAMA, n_ctx=512)


GIB = 2**30
PLENTY = 2**50


def file_of(folder: Path, n_ctx: int) -> EngineConfig:
    """A model of 256 bytes for each cell, in a file of 3 GiB that takes no room."""
    path = write_tiny_llama(folder / "m.gguf", n_ctx=n_ctx)
    os.truncate(path, 3 * GIB)
    return EngineConfig(model_id="m", model_path=str(path))


def test_the_context_is_what_the_model_was_trained_for_where_there_is_room(tmp_path: Path):
    for n_trained in (256, 8192, 100_001):
        assert roomy_context(file_of(tmp_path, n_trained), PLENTY) == n_trained


def test_a_context_takes_no_more_memory_than_the_weights(tmp_path: Path):
    engine = file_of(tmp_path, 2**24)
    n_ctx = roomy_context(engine, PLENTY)
    need = predict_memory(msgspec.structs.replace(engine, n_ctx=n_ctx))
    more = predict_memory(msgspec.structs.replace(engine, n_ctx=n_ctx + 1024))
    assert 8192 < n_ctx < 2**24
    assert need.kv <= need.weights < more.kv


def test_small_weights_leave_a_gib_for_the_cache(tmp_path: Path):
    engine = file_of(tmp_path, 2**24)
    os.truncate(engine.model_path, 1 << 20)
    need = predict_memory(msgspec.structs.replace(engine, n_ctx=roomy_context(engine, PLENTY)))
    assert 0.99 * GIB < need.kv <= GIB


def test_a_context_is_larger_only_within_the_memory(tmp_path: Path):
    engine = file_of(tmp_path, 100_000)
    whole = predict_memory(msgspec.structs.replace(engine, n_ctx=100_000)).total
    assert roomy_context(engine, whole) == 100_000
    less = roomy_context(engine, whole - (10 << 20))
    assert 8192 < less < 100_000
    assert predict_memory(msgspec.structs.replace(engine, n_ctx=less)).total <= whole - (10 << 20)
    assert roomy_context(engine, 0) == 8192  # the engine says whether that fits


def test_one_request_may_use_all_cells_that_were_asked_for(tmp_path: Path):
    engine = msgspec.structs.replace(file_of(tmp_path, 100_000), n_kv=50_000)
    assert roomy_context(engine, 0) == 50_000
    assert roomy_context(msgspec.structs.replace(engine, n_kv=10), 0) == 8192
    assert roomy_context(msgspec.structs.replace(engine, n_kv=10**6), 0) == 100_000


def test_states_of_recurrent_layers_do_not_count_as_cache(tmp_path: Path):
    engine = file_of(tmp_path, 100_000)
    states = Override("llama.ssm.inner_size", 10**6), Override("llama.ssm.state_size", 16)
    recurrent = msgspec.structs.replace(engine, overrides=states)
    assert predict_memory(recurrent).kv > 3 * GIB
    assert roomy_context(recurrent, PLENTY) == 100_000


def test_quantized_caches_are_smaller():
    full = kv_bytes(LLAMA, n_ctx=1024)
    assert kv_bytes(LLAMA, n_ctx=1024, cache_type_k="q8_0", cache_type_v="q8_0") == full * 17 // 32
    assert kv_bytes(LLAMA, n_ctx=1024, cache_type_v="f32") == full * 3 // 2


@pytest.mark.parametrize(("n_embd", "most"), [(2**63 - 1, 2**60), (-(2**63), 0)])
def test_what_no_machine_has_is_a_number_that_can_be_sent(tmp_path: Path, n_embd: int, most: int):
    path = write_tiny_llama(tmp_path / "m.gguf")
    overrides = (Override("llama.embedding_length", n_embd),)
    config = EngineConfig(model_id="m", model_path=str(path), overrides=overrides)
    assert predicted_bytes(config) == most


def test_scores_are_kept_without_flash_attention():
    on, off = (memory_need(LLAMA, 0, config(n_ctx=1000, flash_attn=word)) for word in ("on", "off"))
    assert off.compute - on.compute == 4 * 4 * 512 * 1000
    assert off.kv == on.kv


def test_layers_with_a_window_have_its_cells_only():
    window = LLAMA | {
        "llama.attention.sliding_window": 16,
        "llama.attention.sliding_window_pattern": [True, False],
    }
    n_window = 16 * 2 * 4 + 512
    expected = 2 * 2 * 32 * (4096 + n_window)
    assert kv_bytes(window, n_ctx=4096, n_seq_max=4) == expected


def test_what_the_file_does_not_say_counts_as_nothing():
    assert memory_need({}, 7, config()).total == 7


@pytest.mark.parametrize("content", [b"", b"GGUF\x03", b"GGUF\x03\0\0\0" + b"\xff" * 99])
def test_a_damaged_file_has_no_prediction(tmp_path: Path, content: bytes):
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    assert predicted_bytes(EngineConfig(model_id="m", model_path=str(path))) == 0


def test_weights_are_those_of_all_parts(tmp_path: Path):
    for part, n_bytes in [(1, 10), (2, 20)]:
        (tmp_path / f"m-0000{part}-of-00002.gguf").write_bytes(bytes(n_bytes))
    (tmp_path / "m-00001-of-00003.gguf").write_bytes(bytes(50))
    assert weight_bytes(tmp_path / "m-00001-of-00002.gguf") == 30
    assert weight_bytes(tmp_path / "m-00001-of-00003.gguf") == 50


def test_a_draft_model_counts(tmp_path: Path):
    path = str(write_tiny_llama(tmp_path / "m.gguf"))
    alone = EngineConfig(model_id="m", model_path=path)
    both = EngineConfig(model_id="m", model_path=path, draft_model_path=path)
    assert predicted_bytes(both) == 2 * predicted_bytes(alone) > 0


def test_a_file_with_its_vocabulary_first_is_read_to_the_end(tmp_path: Path):
    path = write_tiny_llama(tmp_path / "m.gguf", n_vocab=2000)
    need = predict_memory(EngineConfig(model_id="m", model_path=str(path)))
    assert need.kv > 0
    assert need.weights == path.stat().st_size
