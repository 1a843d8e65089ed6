from __future__ import annotations

from pathlib import Path

import pytest

from pyserve.gguf.texts import CHAT_TEMPLATE, find_texts
from pyserve.gguf.writer import write_gguf


def test_the_texts_of_a_key_and_of_its_variants_are_found(tmp_path: Path):
    path = tmp_path / "m.gguf"
    metadata = {
        "general.name": "the word tokenizer.chat_template in a text",
        "tokenizer.ggml.tokens": ["a", "é"],
        CHAT_TEMPLATE: "{{ é }}",
        f"{CHAT_TEMPLATE}.tool_use": "{{ tools }}",
        f"{CHAT_TEMPLATE}s": ["tool_use"],
    }
    with path.open("wb") as stream:
        write_gguf(stream, metadata, [])
    assert find_texts(path, CHAT_TEMPLATE) == ["{{ é }}", "{{ tools }}"]
    assert find_texts(path, "tokenizer.other") == []


@pytest.mark.parametrize(
    "data", [b"", b"tokenizer.chat_template", b"\xff" * 8 + b"tokenizer.chat_"]
)
def test_what_is_no_model_has_no_texts(tmp_path: Path, data: bytes):
    path = tmp_path / "m.gguf"
    path.write_bytes(data)
    assert find_texts(path, CHAT_TEMPLATE) == []
    assert find_texts(tmp_path / "missing", CHAT_TEMPLATE) == []
