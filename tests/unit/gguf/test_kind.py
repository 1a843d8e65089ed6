"""What a GGUF file holds: by its head, and by its name where nothing else is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyserve.errors import ModelLoadError
from pyserve.gguf.kind import check_is_model, file_kind, is_gguf_name, kind_by_name, split_name
from tests.support.tiny.file_forms import as_vocabulary, of_type, split_in_two, with_mixed_types
from tests.support.tiny.llama import write_tiny_llama


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("m-Q4_K_M.gguf", "model"),
        ("mmproj-m-f16.gguf", "projector"),
        ("vision-mmproj-f16.gguf", "projector"),
        ("m.mmproj-Q8_0.GGUF", "projector"),
        ("imatrix.gguf", "matrix"),
        ("imatrix_unsloth.gguf", "matrix"),
        ("m.imatrix.gguf", "matrix"),
        ("m-imatrix-Q4_K_M.gguf", "model"),  # quantized with one
        ("m-00001-of-00003.gguf", "model"),
        ("m-00002-of-00003.gguf", "part"),
    ],
)
def test_names(name: str, kind: str) -> None:
    assert kind_by_name(name) == kind


@pytest.mark.parametrize(
    ("name", "is_one"),
    [("a.gguf", True), ("a.GGUF", True), ("a.Gguf", True), ("a.gguf.part", False),
     (".gguf", False), (".a.gguf", False), ("a.bin", False)],
)  # fmt: skip
def test_names_of_gguf_files(name: str, is_one: bool) -> None:
    assert is_gguf_name(name) == is_one


def test_names_of_parts() -> None:
    assert split_name("sub/m-00002-of-00012.GGUF") == ("sub/m", 2, 12)
    assert split_name("m-2-of-3.gguf") is None


@pytest.mark.parametrize(
    ("kind", "architecture", "found"),
    [
        ("adapter", "llama", "adapter"),
        ("mmproj", "clip", "projector"),
        ("model", "clip", "projector"),
        ("imatrix", "", "matrix"),
        ("model", "controlvector", "vectors"),
        ("model", "llama", "model"),
    ],
)
def test_heads(tmp_path: Path, kind: str, architecture: str, found: str) -> None:
    path = of_type(tmp_path / "any.gguf", kind, architecture)
    assert file_kind(path) == found


def test_the_head_goes_before_the_name(tmp_path: Path) -> None:
    assert file_kind(of_type(tmp_path / "my-imatrix.gguf", "model", "llama")) == "model"


def test_models_vocabularies_and_parts(tmp_path: Path) -> None:
    model = write_tiny_llama(tmp_path / "m.gguf")
    assert file_kind(model) == "model"
    assert file_kind(with_mixed_types(model, tmp_path / "m-UD-Q4_K_XL.gguf")) == "model"
    assert file_kind(as_vocabulary(model, tmp_path / "ggml-vocab-m.gguf")) == "vocabulary"
    first, second = split_in_two(model)
    assert [file_kind(path) for path in (first, second)] == ["model", "part"]
    renamed = second.rename(tmp_path / "rest.gguf")
    assert file_kind(renamed) == "part"


def test_the_first_part_may_have_no_tensors(tmp_path: Path) -> None:
    model = write_tiny_llama(tmp_path / "m.gguf")
    assert file_kind(as_vocabulary(model, tmp_path / "m-00001-of-00002.gguf")) == "model"


@pytest.mark.parametrize("content", [b"", b"no gguf at all", b"GGUF" + b"\xff" * 60])
def test_damaged_files_count_as_what_they_are_called(tmp_path: Path, content: bytes) -> None:
    for name, kind in (("m.gguf", "model"), ("mmproj.gguf", "projector")):
        (tmp_path / name).write_bytes(content)
        assert file_kind(tmp_path / name) == kind


def test_what_is_no_model_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="is an importance matrix"):
        check_is_model(of_type(tmp_path / "x.gguf", "imatrix"))
    with pytest.raises(ModelLoadError, match="does not exist"):
        check_is_model(tmp_path / "none.gguf")
