"""`pyserve check`: what is used of a models directory, and what is wrong there."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from pyserve.cli.check import check
from tests.support.catalogs import ADAPTER, FULL, write_models


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_models(tmp_path)


def test_check_prints_what_is_used_and_fails_on_errors(directory: Path) -> None:
    (directory / "x.yaml").write_text(FULL)
    result = CliRunner().invoke(check, [str(directory)])
    assert result.exit_code == 0, result.output
    assert "assistant (a.gguf)" in result.output
    assert "n_ctx 2048" in result.output
    assert "gpu_layers has no effect: there is no GPU here" in result.output
    (directory / "y.yaml").write_text("name: [")
    result = CliRunner().invoke(check, [str(directory)])
    assert result.exit_code == 1
    assert "y.yaml:" in result.output


def test_check_shows_settings_as_they_are_written(directory: Path) -> None:
    text = "name: x\nparameters: {model: a.gguf}\noverrides: ['a.b=int:3', 'c=bool:true']\n"
    (directory / "x.yaml").write_text(text)
    result = CliRunner().invoke(check, [str(directory)])
    assert "engine: overrides a.b=3 c=True" in result.output


def test_check_tells_of_adapters(directory: Path) -> None:
    (directory / "l.gguf").write_bytes(ADAPTER)
    (directory / "x.yaml").write_text("name: x\nparameters: {model: a.gguf}\nlora_adapter: l\n")
    result = CliRunner().invoke(check, [str(directory)])
    assert result.exit_code == 0
    assert "adapters: l (l.gguf, scale 1) as x-l" in result.output


def test_check_prints_json(directory: Path) -> None:
    text = "name: x\nparameters: {model: a.gguf, temperature: 0.5}\ncontext_size: 2048\n"
    (directory / "x.yaml").write_text(f"{text}gpu_layers: 3\n")
    (directory / "y.yaml").write_text("name: [")
    result = CliRunner().invoke(check, [str(directory), "--json"])
    assert result.exit_code == 1
    found = msgspec.json.decode(result.output)
    (model,) = [model for model in found["models"] if model["id"] == "x"]
    assert model["file"] == str(directory / "a.gguf")
    assert (model["engine"], model["defaults"]) == ({"n_ctx": 2048}, {"temperature": 0.5})
    assert [note["line"] for note in model["notes"]] == [4]
    assert [note["file"] for note in found["notes"] if note["level"] == "error"] == ["y.yaml"]
    assert found["n_errors"] == 1
