"""The native engine in this process, over tiny random models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.local import LocalEngine
from tests.support.tiny_gguf import write_tiny_llama


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
