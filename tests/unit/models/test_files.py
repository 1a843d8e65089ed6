"""Which files are served under which ids."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from pyserve.cli.models import models
from pyserve.config import ServeConfig
from pyserve.errors import ModelLoadError, ModelNotFoundError
from pyserve.models.files import ModelFile, local_models, resolve_models
from pyserve.models.gallery import (
    Defaults,
    Gallery,
    GalleryEntry,
    UrlSource,
    load_gallery,
    safe_file_name,
)
from tests.support.tiny.file_forms import as_vocabulary, of_type, split_in_two
from tests.support.tiny.llama import write_tiny_llama

GGUF = b"GGUF" + struct.pack("<IQQ", 3, 0, 0)


def make_entry(name: str) -> GalleryEntry:
    return GalleryEntry(
        name=name,
        description=name,
        file=f"{name.title()}-File.gguf",
        size_bytes=len(GGUF),
        sha256="0" * 64,
        license="MIT",
        quantization="F32",
        defaults=Defaults(ctx_size=128),
        sources=(UrlSource(kind="url", url="http://localhost/x"),),
    )


GALLERY = Gallery(default="first", models=(make_entry("first"), make_entry("second")))


class Puller:
    """Writes the file of an entry; records the names it was asked for."""

    def __init__(self, content: bytes = GGUF) -> None:
        self.content = content
        self.names: list[str] = []

    def __call__(self, entry: GalleryEntry, directory: Path) -> Path:
        self.names.append(entry.name)
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / entry.file
        path.write_bytes(self.content)
        return path


def resolve(directory: Path, *names: str, puller: Puller | None = None) -> list[ModelFile]:
    config = ServeConfig(models=list(names), models_dir=directory)
    return resolve_models(config, gallery=GALLERY, pull=puller or Puller())


def put(directory: Path, name: str, content: bytes = GGUF) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_bytes(content)
    return path


def test_without_names_an_empty_directory_gets_the_default(tmp_path: Path) -> None:
    puller = Puller()
    files = resolve(tmp_path / "none", puller=puller)
    (file,) = files
    assert (file.id, file.ctx_size) == ("first", 128)
    assert file.path == tmp_path / "none" / "First-File.gguf"
    assert puller.names == ["first"]


def test_without_names_all_files_are_served(tmp_path: Path) -> None:
    for name in ("b.gguf", "a.gguf", "Second-File.gguf", "mmproj-a.gguf", "notes.txt"):
        put(tmp_path, name)
    put(tmp_path, "big-00001-of-00002.gguf")
    put(tmp_path, "big-00002-of-00002.gguf")
    puller = Puller()
    ids = [file.id for file in resolve(tmp_path, puller=puller)]
    assert ids == ["a", "b", "big-00001-of-00002", "second"]
    assert puller.names == []


def test_files_that_go_with_a_model_are_not_counted(tmp_path: Path) -> None:
    model = write_tiny_llama(tmp_path / "UPPER.GGUF")
    as_vocabulary(model, tmp_path / "ggml-vocab-x.gguf")
    of_type(tmp_path / "imatrix.gguf", "imatrix")
    of_type(tmp_path / "vision-f16.gguf", "mmproj", "clip")
    of_type(tmp_path / "style.gguf", "adapter", "llama")
    config = ServeConfig(models_dir=tmp_path)
    assert [file.id for file in resolve_models(config, gallery=GALLERY)] == ["UPPER"]
    assert [file.id for file in local_models(tmp_path, GALLERY)] == ["UPPER"]
    (found,) = resolve(tmp_path, "UPPER")
    assert found.path == model
    for name in ("imatrix", "vision-f16", "style", "ggml-vocab-x"):
        with pytest.raises(ModelLoadError, match=f"{name}.gguf is a"):
            resolve(tmp_path, name)


def test_a_split_model_is_one_model_by_its_first_part(tmp_path: Path) -> None:
    split_in_two(write_tiny_llama(tmp_path / "m.gguf"))
    (found,) = resolve(tmp_path)
    assert found.id == "m-00001-of-00002"
    with pytest.raises(ModelLoadError, match="name its first part"):
        resolve(tmp_path, "m-00002-of-00002.gguf")


def test_one_bad_file_does_not_stop_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path, "good.gguf")
    put(tmp_path, "bad.gguf", b"")
    assert [file.id for file in resolve(tmp_path)] == ["good"]
    assert "bad.gguf is empty" in caplog.text


def test_only_bad_files_are_an_error(tmp_path: Path) -> None:
    put(tmp_path, "bad.gguf", b"")
    with pytest.raises(ModelLoadError, match=r"bad\.gguf is empty"):
        resolve(tmp_path)


def test_names_are_found_in_gallery_directory_and_by_path(tmp_path: Path) -> None:
    directory = tmp_path / "models"
    put(directory, "mine.gguf")
    elsewhere = put(tmp_path, "other.v1.gguf")
    files = resolve(directory, "second", "mine", str(elsewhere))
    assert [file.id for file in files] == ["second", "mine", "other.v1"]
    assert all(file.path.is_absolute() for file in files)


def test_a_gallery_file_has_its_gallery_name_however_it_is_named(tmp_path: Path) -> None:
    path = put(tmp_path, "First-File.gguf")
    for name in ("first", "First-File.gguf", str(path)):
        assert [file.id for file in resolve(tmp_path, name)] == ["first"]


def test_a_gallery_file_of_the_wrong_size_says_how_to_repair(tmp_path: Path) -> None:
    put(tmp_path, "First-File.gguf", GGUF + b"x")
    with pytest.raises(ModelLoadError, match=r"25 bytes instead of 24; .* pyserve pull first"):
        resolve(tmp_path, "first")


def test_an_unknown_name_tells_what_may_be_meant_or_where_it_is_not(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="did you mean first"):
        resolve(tmp_path, "fist")
    with pytest.raises(ModelNotFoundError, match=f"not in {tmp_path}, not a file"):
        resolve(tmp_path, "xyzzy")


def test_an_old_format_is_named(tmp_path: Path) -> None:
    path = put(tmp_path, "ggml-koala-7b-model-q4_0-r2.bin", b"tjgg" + bytes(100))
    for name in (str(path), path.name):
        with pytest.raises(ModelLoadError, match="the old GGJT version 0 format"):
            resolve(tmp_path, name)


def test_two_models_of_one_id_are_refused(tmp_path: Path) -> None:
    one, two = put(tmp_path / "1", "same.gguf"), put(tmp_path / "2", "same.gguf")
    with pytest.raises(ModelLoadError, match="two models have the id 'same'"):
        resolve(tmp_path, str(one), str(two))


def test_the_shipped_gallery_is_valid() -> None:
    gallery = load_gallery()
    assert gallery.default_entry().license == "Apache-2.0"
    gemma = gallery.find("gemma-3-270m")
    assert gemma is not None
    assert gemma.notice is not None


@pytest.mark.parametrize(
    "change",
    [
        {"default": "third"},
        {"models": (make_entry("first"), make_entry("first"))},
        {"surprise": 1},
    ],
)
def test_a_wrong_gallery_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Gallery.model_validate({"default": "first", "models": GALLERY.models, **change})


@pytest.mark.parametrize("file", ["../up.gguf", "a/b.gguf", ".hidden.gguf", "model.bin"])
def test_a_gallery_file_name_cannot_leave_the_directory(file: str) -> None:
    with pytest.raises(ValidationError):
        GalleryEntry.model_validate({**make_entry("x").model_dump(), "file": file})


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a/b/model.gguf", "model.gguf"),
        ("..", ""),
        ("C:\\x\\m.gguf", "m.gguf"),
        ("ä b.gguf", "b.gguf"),
        ("-rf", "rf"),
    ],
)
def test_file_names_are_made_plain(name: str, safe: str) -> None:
    assert safe_file_name(name) == safe


def test_the_list_shows_local_damaged_and_gallery_models(tmp_path: Path) -> None:
    put(tmp_path, "mine.gguf")
    put(tmp_path, "SmolLM2-135M-Instruct.Q4_1.gguf")
    result = CliRunner().invoke(models, ["--json", "--models-dir", str(tmp_path)])
    states = {row["id"]: row["state"] for row in json.loads(result.stdout)}
    assert states.pop("mine") == "local"
    assert states.pop("smollm2-135m-instruct") == "damaged"
    assert set(states.values()) == {"gallery"}
    assert {"gemma-3-270m", "qwen3.5-4b"} <= states.keys()
    table = CliRunner().invoke(models, ["--models-dir", str(tmp_path)]).stdout
    assert "253.1 MB" in table


def test_models_answer_to_the_names_of_their_files(tmp_path: Path) -> None:
    put(tmp_path, "a.gguf")
    put(tmp_path, "First-File.gguf")
    (tmp_path / "x.yaml").write_text("name: x\naliases: [a]\nparameters: {model: a.gguf}")
    assert [file.id for file in resolve(tmp_path, "a")] == ["x"]
    aliases = {file.id: file.profile.aliases for file in resolve(tmp_path)}
    assert aliases == {"x": ("a", "a.gguf"), "first": ("First-File.gguf", "First-File")}


def test_a_config_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    config = ServeConfig(models_dir=tmp_path, models_config_file=tmp_path / "none.yaml")
    with pytest.raises(ModelLoadError, match=r"models-config-file.*none\.yaml"):
        resolve_models(config, gallery=GALLERY, pull=Puller())
