"""Recognizing GGUF files and reading their metadata."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import gguf
import pytest

from pyserve.errors import ModelLoadError
from pyserve.gguf.head import check_gguf, quantization, read_metadata


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """A file of the reference writer, with an array of strings before the interesting key."""
    path = tmp_path / "real.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_array("tokenizer.ggml.tokens", ["a", "bc", "é"])
    writer.add_array("numbers", [1, 2, 3])
    writer.add_name("Néw")
    writer.add_float32("ratio", 0.5)
    writer.add_file_type(15)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


def test_a_gguf_is_accepted(real: Path) -> None:
    check_gguf(real)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"GGUF\x03", "is cut off after 5 bytes"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version 1"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (b"tjgg" + bytes(100), "the old GGJT version 0 format.*pyserve convert"),
        (b"lmgg" + bytes(100), "the old GGML format"),
        (b"fmgg" + bytes(100), "the old GGMF version 0 format"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"version https://git-lfs", "a Git LFS pointer"),
        (b"\x00\x01\x02\x03" + bytes(100), "is not a GGUF file"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path: Path, content: bytes, words: str) -> None:
    path = write(tmp_path / "model.bin", content)
    with pytest.raises(ModelLoadError, match=words) as error:
        check_gguf(path)
    assert str(path) in error.value.message


def test_directories_pipes_and_absent_files_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    for name, words in (("pipe.gguf", "regular"), (".", "regular"), ("none.gguf", "not exist")):
        with pytest.raises(ModelLoadError, match=words):
            check_gguf(tmp_path / name)


def test_metadata_is_read_and_arrays_are_skipped(real: Path) -> None:
    keys = ["general.name", "ratio", "general.file_type", "numbers", "absent"]
    assert read_metadata(real, keys) == {
        "general.name": "Néw",
        "ratio": 0.5,
        "general.file_type": 15,
    }
    assert quantization(real) == "Q4_K_M"


def test_every_truncation_of_the_metadata_is_an_error_or_absent(real: Path, tmp_path: Path) -> None:
    content = real.read_bytes()
    end = content.index(b"general.file_type") + len("general.file_type") + 8
    for n_bytes in range(24, end):
        short = write(tmp_path / "short.gguf", content[:n_bytes])
        with pytest.raises(ModelLoadError, match="damaged"):
            quantization(short)


def test_a_huge_length_is_an_error_not_an_allocation(tmp_path: Path) -> None:
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 1)
    for body in (struct.pack("<Q", 2**63), struct.pack("<QIIQ", 0, 9, 8, 2**62)):
        with pytest.raises(ModelLoadError, match="damaged"):
            quantization(write(tmp_path / "huge.gguf", head + body))
