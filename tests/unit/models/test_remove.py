from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from pyserve.cli import main
from pyserve.errors import ModelNotFoundError
from pyserve.models.gallery import load_gallery
from pyserve.models.remove import remove_model


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize("name", ["a", "a.gguf"])
def test_a_model_is_removed_and_others_stay(tmp_path: Path, name: str):
    part = tmp_path / ".incoming" / "a.gguf.part"
    touch(tmp_path / "a.gguf", tmp_path / "b.gguf", part)
    assert remove_model(name, tmp_path, load_gallery()) == [tmp_path / "a.gguf"]
    assert [path.name for path in tmp_path.glob("*.gguf")] == ["b.gguf"]
    assert not part.exists()


def test_a_split_model_goes_with_all_its_parts(tmp_path: Path):
    parts = [tmp_path / f"m-0000{i}-of-00003.gguf" for i in (1, 2, 3)]
    touch(*parts)
    assert remove_model("m-00001-of-00003", tmp_path, load_gallery()) == parts
    assert list(tmp_path.glob("*")) == []


def test_only_the_link_goes_and_not_what_it_leads_to(tmp_path: Path):
    touch(tmp_path / "elsewhere.gguf")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "link.gguf").symlink_to(tmp_path / "elsewhere.gguf")
    remove_model("link", tmp_path / "models", load_gallery())
    assert (tmp_path / "elsewhere.gguf").exists()


@pytest.mark.parametrize(
    "name", ["../out", "../out.gguf", "/etc/passwd", "", ".", "notes.txt", "sub/in", "*"]
)
def test_nothing_else_can_be_named(tmp_path: Path, name: str):
    models = tmp_path / "models"
    files = [tmp_path / "out.gguf", models / "notes.txt", models / "sub" / "in.gguf"]
    touch(*files)
    for bad in (name, str(tmp_path / "out.gguf")):
        with pytest.raises(ModelNotFoundError):
            remove_model(bad, models, load_gallery())
    assert all(path.exists() for path in files)


def test_the_command(tmp_path: Path):
    touch(tmp_path / "a.gguf")
    result = CliRunner().invoke(main, ["rm", "a", "b", "--models-dir", str(tmp_path)])
    assert result.exit_code == 1
    assert "removed" in result.output
    assert "no model 'b'" in result.output
    assert not (tmp_path / "a.gguf").exists()
