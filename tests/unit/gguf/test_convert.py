from __future__ import annotations

from pathlib import Path

import gguf
import msgspec
import pytest
from click.testing import CliRunner

from pyserve.cli import main
from pyserve.errors import InvalidRequestError, ModelLoadError
from pyserve.gguf.convert import convert_file
from tests.support.tiny.old_ggml import write_new, write_old


@pytest.mark.parametrize("kind", ["F32", "Q4_0"])
def test_the_new_file_is_what_the_reference_writer_makes(tmp_path: Path, kind: str):
    convert_file(write_old(tmp_path / "old.bin", kind), tmp_path / "new.gguf")
    ours = gguf.GGUFReader(tmp_path / "new.gguf")
    theirs = gguf.GGUFReader(write_new(tmp_path / "reference.gguf", kind))
    for name in [field for field in theirs.fields if not field.startswith(("GGUF.", "general."))]:
        assert ours.fields[name].contents() == theirs.fields[name].contents(), name
    expected = {t.name: (t.tensor_type, t.data.tobytes()) for t in theirs.tensors}
    assert {t.name: (t.tensor_type, t.data.tobytes()) for t in ours.tensors} == expected


@pytest.mark.parametrize(("name", "version"), [("GGML", 0), ("GGMF", 1), ("GGJT", 1), ("GGJT", 2)])
def test_blocks_that_changed_are_refused_with_the_version(tmp_path: Path, name: str, version: int):
    old = write_old(tmp_path / "old.bin", "Q4_0", name, version)
    with pytest.raises(ModelLoadError, match=f"Q4_0 in {name}") as error:
        convert_file(old, tmp_path / "new.gguf")
    assert "get the model as GGUF" in error.value.message
    assert [path.name for path in tmp_path.iterdir()] == ["old.bin"]


def test_an_existing_file_is_replaced_only_when_forced(tmp_path: Path):
    old, new = write_old(tmp_path / "old.bin"), tmp_path / "new.gguf"
    new.write_bytes(b"mine")
    with pytest.raises(InvalidRequestError, match="--force"):
        convert_file(old, new)
    assert new.read_bytes() == b"mine"
    convert_file(old, new, is_forced=True)
    assert new.read_bytes()[:4] == b"GGUF"
    with pytest.raises(InvalidRequestError):
        convert_file(old, old, is_forced=True)


@pytest.mark.parametrize("n_bytes", [0, 3, 8, 36, 1000, 4000, 60_000])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, n_bytes: int):
    whole = write_old(tmp_path / "old.bin").read_bytes()
    (tmp_path / "cut.bin").write_bytes(whole[:n_bytes])
    with pytest.raises(ModelLoadError, match=r"cut\.bin"):
        convert_file(tmp_path / "cut.bin", tmp_path / "new.gguf")


@pytest.mark.parametrize("at", [4, 8, 12, 36])
def test_absurd_counts_are_refused(tmp_path: Path, at: int):
    data = bytearray(write_old(tmp_path / "old.bin").read_bytes())
    data[at : at + 4] = b"\xff\xff\xff\x7f"
    (tmp_path / "bad.bin").write_bytes(data)
    with pytest.raises(ModelLoadError):
        convert_file(tmp_path / "bad.bin", tmp_path / "new.gguf")


def test_the_command(tmp_path: Path):
    old = write_old(tmp_path / "old.bin", "F16")
    new = str(tmp_path / "new.gguf")
    result = CliRunner().invoke(main, ["convert", str(old), new])
    assert result.exit_code == 0, result.output
    assert "GGJT version 3" in result.output
    result = CliRunner().invoke(main, ["convert", str(old), new, "--force", "--json"])
    facts = msgspec.json.decode(result.stdout)
    assert (facts["format"], facts["version"], facts["file"]) == ("GGJT", 3, new)
    for bad in (str(tmp_path / "none.bin"), new):
        result = CliRunner().invoke(main, ["convert", bad, str(tmp_path / "x.gguf")])
        assert result.exit_code == 1
        assert "Traceback" not in result.output
