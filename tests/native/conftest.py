"""The native engine in this process, over tiny random models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.native import LocalEngine
from tests.support.tiny import memories
from tests.support.tiny.llama import write_tiny_llama

N_SEQ = 8

Start = Callable[..., LocalEngine]


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_llama(tmp_path_factory.mktemp("models") / "tiny.gguf")


@pytest.fixture(scope="session")
def plain_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model without a chat template."""
    path = tmp_path_factory.mktemp("models") / "plain.gguf"
    return write_tiny_llama(path, chat_template=False)


@pytest.fixture
def engine(tiny_model: Path) -> Iterator[LocalEngine]:
    """16 sequences, a context of 256 tokens."""
    engine = LocalEngine(EngineConfig(model_id="tiny", model_path=str(tiny_model), n_kv=2048))
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One tiny model of each kind of memory."""
    folder = tmp_path_factory.mktemp("memories")
    paths = {kind: memories.write_tiny(folder / f"{kind}.gguf", kind) for kind in memories.KINDS}
    return paths | {"llama": write_tiny_llama(folder / "llama.gguf", n_ctx=1024)}


@pytest.fixture
def start(models: dict[str, Path]) -> Iterator[Start]:
    """Starts engines of a kind of memory with N_SEQ sequences, and ends them."""
    engines: list[LocalEngine] = []

    def start_one(kind: str, **fields: int) -> LocalEngine:
        settings = {"n_seq_max": N_SEQ, "n_kv": 8192, "n_batch": 16} | fields
        config = EngineConfig(model_id=kind, model_path=str(models[kind]), **settings)
        engines.append(LocalEngine(config))
        return engines[-1]

    yield start_one
    for engine in engines:
        engine.close()
