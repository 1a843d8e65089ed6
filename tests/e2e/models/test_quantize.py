"""`pyserve quantize` on a tiny model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pyserve.cli import main
from pyserve.engine.config import EngineConfig
from pyserve.engine.native import LocalEngine
from tests.native.helpers import ask
from tests.support.tiny.llama import write_tiny_llama


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["quantize", *map(str, arguments), "--threads", "1"])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_llama(tmp_path / "f32.gguf")


def test_a_quantized_model_is_smaller_and_answers(tmp_path: Path, model: Path):
    target = tmp_path / "q8.gguf"
    result = run(model, target, "q8_0")
    assert result.exit_code == 0, result.output
    assert target.stat().st_size < model.stat().st_size / 2
    engine = LocalEngine(EngineConfig(model_id="m", model_path=str(target)))
    assert engine.info().quantization == "Q8_0"
    assert len(ask(engine, "the cat", max_tokens=3).deltas) > 0
    engine.close()
    assert {path.name for path in tmp_path.iterdir()} == {"f32.gguf", "q8.gguf"}


def test_what_is_quantized_already_is_taken_only_when_asked_for(tmp_path: Path, model: Path):
    first, second = tmp_path / "q8.gguf", tmp_path / "q4.gguf"
    run(model, first, "Q8_0")
    result = run(first, second, "Q4_0")
    assert result.exit_code == 1
    assert "has weights of Q8_0 already" in result.output
    assert "--allow-requantize" in result.output
    assert not second.exists()
    assert run(first, second, "Q4_0", "--allow-requantize").exit_code == 0
    assert second.stat().st_size < first.stat().st_size


def test_an_existing_file_is_replaced_only_when_forced(tmp_path: Path, model: Path):
    target = tmp_path / "out.gguf"
    target.write_bytes(b"mine")
    assert "--force" in run(model, target, "Q8_0").output
    assert target.read_bytes() == b"mine"
    assert run(model, target, "Q8_0", "--force").exit_code == 0
    assert run(model, model, "Q8_0", "--force").exit_code == 1


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (None, "Q9", "there is no type 'Q9'"),
        (b"no model", "Q8_0", "is not a GGUF"),
        (b"", "F16", ""),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(tmp_path: Path, model: Path, content, kind, words):
    source = model
    if content is not None:
        source = tmp_path / "bad.gguf"
        source.write_bytes(content)
    result = run(source, tmp_path / "out.gguf", kind)
    assert result.exit_code == 1
    assert words in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "out.gguf").exists()


def test_a_damaged_file_leaves_nothing(tmp_path: Path, model: Path):
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(model.read_bytes()[:200_000])
    assert run(cut, tmp_path / "out.gguf", "Q8_0").exit_code == 1
    assert {path.name for path in tmp_path.iterdir()} == {"f32.gguf", "cut.gguf"}


def test_what_became_of_the_weights_is_told(tmp_path: Path, model: Path):
    plain, wide = run(model, tmp_path / "a.gguf", "Q8_0"), run(model, tmp_path / "b.gguf", "Q4_K_M")
    assert re.search(r"^matrices: \d+ of Q8_0$", plain.output, re.MULTILINE)
    assert re.search(r"^matrices: \d+ of Q5_0", wide.output, re.MULTILINE)
    assert "no multiple of 256" in wide.output
