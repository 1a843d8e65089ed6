"""What engines that read no GGUF are told of one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.gguf_head import Head, read_head
from bench.peers.hf_folder import config_of, tokenizer_config_of, tokenizer_of, write_folder
from bench.random_model.files import RandomModel, write
from bench.random_model.geometry import Experts, Geometry
from bench.random_model.mixtures import MIXTURES
from tests.support.tiny.llama import END_OF_TEXT, write_tiny_llama


@pytest.fixture
def vocabulary(tmp_path: Path) -> Path:
    return write_tiny_llama(tmp_path / "tiny.gguf")


def test_a_configuration_has_the_geometry_of_the_file(vocabulary: Path, tmp_path: Path) -> None:
    geometry = Geometry("qwen3moe", 8, 256, 512, 4, 2, 64, 300, 1e4, experts=Experts(4, 2, 128))
    write(RandomModel("tiny:Q4_0", geometry, MIXTURES["Q4_0"]), vocabulary, tmp_path / "a.gguf")
    config = config_of(read_head(tmp_path / "a.gguf"))
    expected = {"hidden_size": 256, "num_hidden_layers": 8, "num_key_value_heads": 2}
    expected |= {"head_dim": 64, "vocab_size": 300, "num_experts": 4, "num_experts_per_tok": 2}
    assert config.items() >= {**expected, "moe_intermediate_size": 128}.items()
    assert config["tie_word_embeddings"] is True
    assert config["architectures"] == ["Qwen3MoeForCausalLM"]


def test_an_architecture_without_configuration_is_refused() -> None:
    head = Head({"general.architecture": "gpt-oss"}, frozenset())
    with pytest.raises(ValueError, match="no configuration for gpt-oss; for llama"):
        config_of(head)


def test_a_tokenizer_has_the_tokens_of_the_file(vocabulary: Path) -> None:
    metadata = read_head(vocabulary).metadata
    tokenizer = tokenizer_of(metadata)
    assert len(tokenizer["model"]["vocab"]) == 320
    assert {token["id"] for token in tokenizer["added_tokens"]} == {256, 257, 258}
    config = tokenizer_config_of(metadata)
    assert config["bos_token"] == metadata["tokenizer.ggml.tokens"][END_OF_TEXT]
    assert "im_start" in config["chat_template"]


def test_a_folder_has_all_of_it_but_weights(vocabulary: Path, tmp_path: Path) -> None:
    write_folder(vocabulary, tmp_path / "folder")
    names = {path.name for path in (tmp_path / "folder").iterdir()}
    assert names == {"config.json", "tokenizer.json", "tokenizer_config.json"}
    config = json.loads((tmp_path / "folder" / "config.json").read_text())
    assert (config["vocab_size"], config["tie_word_embeddings"]) == (320, False)
