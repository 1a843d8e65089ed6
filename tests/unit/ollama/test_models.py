"""Models as Ollama describes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyserve.backend.protocol import ModelStatus
from pyserve.models.facts import FileFacts, file_facts
from pyserve.models.gallery import load_gallery, parse_gallery
from pyserve.ollama.models import capabilities, size_text, tagged
from tests.support.tiny.file_forms import split_in_two
from tests.support.tiny.llama import write_tiny_llama

AWAY = ModelStatus(id="m", created=1, state="unloaded")
BERT = {"general.architecture": "bert", "bert.pooling_type": 1, "bert.attention.causal": False}


def facts(template: str = "", **metadata: object) -> FileFacts:
    return FileFacts(metadata, template, 1, 1, 1.0, "0" * 64, False)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("n", "text"),
    [(134515008, "134.52M"), (7 * 10**9, "7B"), (1236 * 10**6, "1.2B"), (999, "999"), (5000, "5K")],
)
def test_numbers_of_parameters_are_short(n, text):
    assert size_text(n) == text


def test_names_have_a_tag():
    assert [tagged(name) for name in ("a", "a:1b")] == ["a:latest", "a:1b"]


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (None, ["completion", "tools"]),
        (facts("<think></think>"), ["completion", "tools", "thinking"]),
        (facts(**{"tokenizer.ggml.fim_pre_token_id": 3}), ["completion", "tools", "insert"]),
        (facts(**BERT), ["embedding"]),
        (facts(**{"general.architecture": "qwen3", "qwen3.pooling_type": 3}), ["embedding"]),
    ],
)
def test_capabilities_follow_from_the_file(known, expected):
    assert capabilities(AWAY, known) == expected


def test_a_split_model_counts_with_all_its_parts(tmp_path: Path):
    whole = write_tiny_llama(tmp_path / "whole.gguf")
    one = file_facts(whole, load_gallery())
    parts = split_in_two(whole)
    many = file_facts(parts[0], load_gallery())
    assert one is not None
    assert many is not None
    assert one.n_params == many.n_params
    assert many.n_bytes == sum(path.stat().st_size for path in parts)


def test_the_digest_of_a_known_file_is_its_hash(tmp_path: Path):
    path = write_tiny_llama(tmp_path / "known.gguf")
    sha256 = "ab" * 32
    gallery = parse_gallery(
        f"""
default = "known"
[[models]]
name = "known"
description = "d"
file = "known.gguf"
size_bytes = {path.stat().st_size}
sha256 = "{sha256}"
license = "mit"
quantization = "F32"
[[models.sources]]
kind = "url"
url = "https://example.com/known.gguf"
"""
    )
    known = file_facts(path, gallery)
    assert known is not None
    assert (known.digest, known.is_hash) == (sha256, True)
    other = file_facts(path, load_gallery())
    assert other is not None
    assert (other.digest == sha256, other.is_hash) == (False, False)
    path.write_bytes(path.read_bytes() + b"x")
    changed = file_facts(path, gallery)
    assert changed is not None
    assert changed.digest not in (sha256, other.digest)


def test_what_is_no_model_file_has_no_facts(tmp_path: Path):
    assert file_facts(tmp_path / "none", load_gallery()) is None
    (tmp_path / "text.gguf").write_text("hello")
    assert file_facts(tmp_path / "text.gguf", load_gallery()) is None
