from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pyserve.cli import main
from tests.support.tiny.llama import CHAT_TEMPLATE, write_tiny_llama


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYSERVE_MODELS_DIR", str(tmp_path))
    return write_tiny_llama(tmp_path / "tiny.gguf", n_ctx=4096, n_vocab=2000)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["info", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("name", ["tiny", "tiny.gguf", "path"])
def test_a_model_is_described(model: Path, name: str):
    text = run(str(model) if name == "path" else name)
    assert 'general.architecture = "llama"' in text
    assert "tokenizer.ggml.tokens = [2,000 elements]" in text
    assert "F32" in text
    assert "<|im_start|>" in text
    assert "4,096 tokens" in text


def test_as_json(model: Path):
    data = json.loads(run("tiny", "--json"))
    assert data["metadata"]["llama.block_count"] == 2
    assert data["metadata"]["tokenizer.ggml.tokens"] == {"length": 2000}
    assert data["chat_template"] == CHAT_TEMPLATE
    assert list(data["memory"]) == ["2048", "4096"]
    sizes = data["memory"]["4096"]
    assert sizes["total"] == sizes["weights"] + sizes["kv_cache"] + sizes["compute"]
    tensors = data["tensors"]["F32"]
    assert tensors["bytes"] == 4 * data["n_params"]
    assert tensors["bytes"] < data["size_bytes"]


def test_the_template_alone(model: Path):
    assert run("tiny", "--template") == CHAT_TEMPLATE + "\n"


@pytest.mark.parametrize("name", ["nothing", "../tiny", "damaged.gguf"])
def test_what_cannot_be_described(model: Path, name: str):
    (model.parent / "damaged.gguf").write_bytes(model.read_bytes()[:5000])
    result = CliRunner().invoke(main, ["info", name])
    assert result.exit_code == 1
    assert "Error: " in result.output
    assert "Traceback" not in result.output
