"""Model files in parts, and with weights of several types."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from pyserve.engine.config import EngineConfig
from pyserve.engine.native import LocalEngine
from pyserve.gguf.check import check_model_file
from tests.native.helpers import ask
from tests.support.tiny.file_forms import split_in_two, with_mixed_types
from tests.support.tiny.llama import write_tiny_llama


def answer(path: Path) -> str:
    check_model_file(path)
    with closing(LocalEngine(EngineConfig(model_id="m", model_path=str(path)))) as engine:
        return ask(engine, "the cat sat", max_tokens=8).text


def test_a_split_model_is_the_whole_one(tmp_path: Path) -> None:
    path = write_tiny_llama(tmp_path / "m.gguf")
    whole = answer(path)
    first, _ = split_in_two(path)
    assert answer(first) == whole


def test_a_mix_of_types_loads(tmp_path: Path) -> None:
    path = write_tiny_llama(tmp_path / "m.gguf")
    mixed = with_mixed_types(path, tmp_path / "m-UD-Q4_K_XL.gguf")
    assert mixed.stat().st_size < path.stat().st_size
    assert answer(mixed)
