"""The tiny model that other tests write."""

from __future__ import annotations

from pathlib import Path

import gguf
import pytest

from pyserve.gguf.head import quantization, read_metadata
from tests.support.tiny.llama import IM_END, N_VOCAB, byte_symbols, write_tiny_llama


def test_two_runs_write_the_same_bytes(tmp_path: Path) -> None:
    one = write_tiny_llama(tmp_path / "1.gguf")
    two = write_tiny_llama(tmp_path / "2.gguf")
    assert one.read_bytes() == two.read_bytes()
    assert one.stat().st_size < 2_000_000


def test_seed_and_template_matter(tmp_path: Path) -> None:
    default = write_tiny_llama(tmp_path / "1.gguf").read_bytes()
    assert write_tiny_llama(tmp_path / "2.gguf", seed=1).read_bytes() != default
    plain = write_tiny_llama(tmp_path / "3.gguf", chat_template=False)
    assert read_metadata(plain, ["tokenizer.chat_template"]) == {}


@pytest.mark.parametrize("n_vocab", [260, N_VOCAB, 1000])
def test_the_reference_reader_understands_it(tmp_path: Path, n_vocab: int) -> None:
    path = write_tiny_llama(tmp_path / "tiny.gguf", n_ctx=64, n_vocab=n_vocab)
    reader = gguf.GGUFReader(path)
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    assert len(set(tokens)) == len(tokens) == n_vocab
    assert tokens[IM_END] == "<|im_end|>"
    assert reader.fields["llama.context_length"].contents() == 64
    assert len(reader.tensors) == 3 + 2 * 9
    assert quantization(path) == "F32"


def test_every_byte_has_its_own_symbol() -> None:
    symbols = byte_symbols()
    assert len(set(symbols)) == 256
    assert symbols[ord("a")] == "a"
    assert symbols[ord(" ")] == "Ġ"
