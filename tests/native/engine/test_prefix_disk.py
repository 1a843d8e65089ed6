"""Computed prefixes on disk: another engine goes on with the same bits, and nobody else does."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.native import LocalEngine
from tests.native.helpers import Answer, ask
from tests.support.tiny import memories
from tests.support.tiny.llama import write_tiny_llama

KINDS = ["llama", *memories.KINDS]
PROMPT = [65 + i * 7 % 26 for i in range(320)]

StartOnDisk = Callable[..., LocalEngine]


@pytest.fixture
def start(models: dict[str, Path], tmp_path: Path) -> Iterator[StartOnDisk]:
    """Starts an engine over one directory; the one before has ended."""
    engines: list[LocalEngine] = []

    def start_one(kind: str, **fields: Any) -> LocalEngine:
        for engine in engines:
            engine.close()
        settings: dict[str, Any] = {
            "model_path": str(models[kind]),
            "n_seq_max": 4,
            "n_kv": 4096,
            "n_batch": 16,
            "prefix_disk_dir": str(tmp_path / "prefixes"),
            "prefix_disk_mib": 64,
            "prefix_disk_min_tokens": 128,
        }
        engines.append(LocalEngine(EngineConfig(model_id=kind, **settings | fields)))
        return engines[-1]

    yield start_one
    for engine in engines:
        engine.close()


def n_cached(engine: LocalEngine, **fields: Any) -> int:
    return ask(engine, PROMPT, max_tokens=2, **fields).finish.usage.n_cached_tokens


def bits(answer: Answer) -> list[tuple[int, float]]:
    return [(item.token, item.logprob) for item in answer.logprobs]


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_after_a_restart_has_the_bits_of_one_before(
    start: StartOnDisk, kind: str
) -> None:
    engine = start(kind)
    ask(engine, PROMPT, n_logprobs=2)
    from_memory = ask(engine, PROMPT, n_logprobs=2)
    engine = start(kind)
    from_disk = ask(engine, PROMPT, n_logprobs=2)
    for answer in (from_memory, from_disk):
        assert answer.finish.usage.n_cached_tokens == len(PROMPT) - 1
    assert bits(from_disk) == bits(from_memory)
    stats = engine.stats()
    assert (stats.n_disk_hits, stats.n_disk_tokens) == (1, len(PROMPT) - 1)
    assert stats.disk_read_bytes > 0


def test_a_request_after_a_restart_goes_on_from_the_answer(start: StartOnDisk) -> None:
    answer = ask(start("llama"), PROMPT, n_logprobs=0)
    longer = PROMPT + [item.token for item in answer.logprobs] + [70] * 64
    ask(start("llama"), longer, max_tokens=1)
    again = ask(start("llama"), [*longer, 71], max_tokens=1)
    assert again.finish.usage.n_cached_tokens == len(longer)


def test_other_weights_settings_tenants_and_salts_are_misses(
    start: StartOnDisk, models: dict[str, Path], tmp_path: Path
) -> None:
    assert n_cached(start("llama"), tenant="alice") == 0
    engine = start("llama")
    assert n_cached(engine, tenant="bob") == 0
    assert n_cached(engine, tenant="alice", cache_salt="x") == 0
    assert n_cached(start("llama", cache_type_k="bf16"), tenant="alice") == 0
    swapped = write_tiny_llama(tmp_path / "other.gguf", n_ctx=1024, seed=7)
    assert n_cached(start("llama", model_path=str(swapped)), tenant="alice") == 0
    copy = Path(shutil.copy(models["llama"], tmp_path / "copy.gguf"))
    assert n_cached(start("llama", model_path=str(copy)), tenant="alice") == len(PROMPT) - 1


def test_a_request_that_says_so_is_not_written(start: StartOnDisk) -> None:
    n_cached(start("llama"), saves_prefix=False)
    assert n_cached(start("llama")) == 0


def test_damaged_files_are_computed_again(start: StartOnDisk, tmp_path: Path) -> None:
    n_cached(start("llama"))
    start("gemma3")
    for path in (tmp_path / "prefixes").rglob("*.prefix"):
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    engine = start("llama")
    assert n_cached(engine) == 0
    assert engine.stats().n_disk_damaged == 1
    assert n_cached(start("llama")) == len(PROMPT) - 1


def test_a_directory_that_cannot_be_written_is_a_warning(
    start: StartOnDisk, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "prefixes").write_text("a file", encoding="utf-8")
    engine = start("llama")
    assert n_cached(engine) == 0
    assert n_cached(engine) == len(PROMPT) - 1
    assert engine.stats().n_disk_errors == 1
    engine.close()
    assert capfd.readouterr().err.count("prefixes are not written to disk") == 1
