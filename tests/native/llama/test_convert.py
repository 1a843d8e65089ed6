"""Models of the formats before GGUF answer after their conversion as they always did."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.native import LocalEngine
from pyserve.gguf.convert import convert_file
from tests.native.helpers import Answer, ask
from tests.support.tiny.old_ggml import write_new, write_old


def answers(path: Path) -> tuple[Answer, list[int]]:
    engine = LocalEngine(EngineConfig(model_id="m", model_path=str(path), n_ctx=256))
    answer = ask(engine, "hello the cat é", max_tokens=16, n_logprobs=5, deterministic=True)
    tokens = engine.tokenize("hello the cat é", add_special=True, parse_special=False)
    engine.close()
    return answer, tokens


@pytest.mark.parametrize(
    ("kind", "name", "version"),
    [
        ("F32", "GGJT", 3),
        ("F16", "GGJT", 3),
        ("Q4_0", "GGJT", 3),
        ("Q8_0", "GGJT", 3),
        ("F16", "GGJT", 1),
        ("F32", "GGMF", 1),
    ],
)
def test_a_converted_model_has_the_same_logits(tmp_path: Path, kind: str, name: str, version: int):
    old = write_old(tmp_path / "old.bin", kind, name, version)
    convert_file(old, tmp_path / "new.gguf")
    expected, expected_tokens = answers(write_new(tmp_path / "reference.gguf", kind))
    answer, tokens = answers(tmp_path / "new.gguf")
    assert tokens == expected_tokens
    assert answer.logprobs == expected.logprobs
    assert answer.text == expected.text
