"""What is predicted of a model's memory, against what its engine says it takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.native import LocalEngine, NativeCore
from pyserve.errors import ModelLoadError
from pyserve.models.memory import predict_memory
from tests.support.tiny.llama import write_tiny_llama
from tests.support.tiny.memories import KINDS, write_tiny, write_tiny_without_attention


@pytest.mark.parametrize("settings", [{}, {"n_seq_max": 3, "cache_type_k": "f32", "n_kv": 700}])
@pytest.mark.parametrize("kind", ["llama", *KINDS])
def test_caches_and_states_are_predicted(tmp_path: Path, kind: str, settings: dict[str, object]):
    path = tmp_path / "m.gguf"
    if kind == "llama":
        write_tiny_llama(path, n_ctx=1024)
    else:
        write_tiny(path, kind)
    config = EngineConfig(model_id="m", model_path=str(path), **settings)
    core = NativeCore(config)
    info = core.info()
    core.close()
    need = predict_memory(config)
    assert need.kv == pytest.approx(info.kv_bytes, rel=0.5)
    assert need.weights == pytest.approx(info.size_bytes, rel=0.05)


SHORT_OF_MEMORY = """
import resource, sys
from pyserve.engine.config import EngineConfig
from pyserve.engine.native import LocalEngine, NativeCore
from pyserve.errors import ModelLoadError
from pyserve.errors import ModelLoadError
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
try:
    NativeCore(EngineConfig(model_id="m", model_path=sys.argv[1], n_kv=1 << 24))
except ModelLoadError as error:
    print(error)
"""


def test_memory_that_ends_at_load_is_an_error_that_says_so(tiny_model: Path) -> None:
    command = [sys.executable, "-c", SHORT_OF_MEMORY, str(tiny_model)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "insufficient memory" in done.stdout


def test_a_hybrid_model_without_attention_is_refused(tmp_path: Path) -> None:
    path = write_tiny_without_attention(tmp_path / "none.gguf")
    with pytest.raises(ModelLoadError, match="has no layer with attention"):
        LocalEngine(EngineConfig(model_id="none", model_path=str(path)))
