"""vendor/fetch.py with a made-up archive of a few files."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.scripts import REPOSITORY, load_script

fetch = load_script("vendor/fetch.py")

ROOT = "pkg-1.0/vendor/llama.cpp"
FILES = {
    "LICENSE": "free",
    "src/a.cpp": "int a;",
    "src/models/b.cpp": "int b;",
    "src/tests/t.cpp": "int t;",
    "ggml/src/core.c": "int c;",
    "ggml/src/ggml-cuda/gpu.cu": "int g;",
    "tools/server/main.cpp": "int m;",
    "unwanted.md": "no",
}
PARTS = {
    "build": fetch.Part(("LICENSE", "src/", "ggml/src/*"), ("src/tests/",)),
    "server": fetch.Part(("tools/server/",), ()),
}


def make_archive(
    path: Path, files: dict[str, str], *, extra: Sequence[tarfile.TarInfo] = ()
) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(f"{ROOT}/{name}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
        for member in extra:
            tar.addfile(member, io.BytesIO(b"x" * member.size))


def make_pin(archive: Path) -> object:
    content = archive.read_bytes()
    return fetch.Pin(
        package="pkg",
        version="1.0",
        file="pkg-1.0.tar.gz",
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        unpacked_bytes=1000,
        root=ROOT,
        parts=PARTS,
    )


class Source:
    """A download that copies a file and counts its calls."""

    def __init__(self, archive: Path) -> None:
        self.archive = archive
        self.n_calls = 0

    def __call__(self, pin: object, directory: Path) -> None:
        self.n_calls += 1
        shutil.copy(self.archive, directory / pin.file)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "made.tar.gz"
    make_archive(path, FILES)
    return path


@pytest.fixture
def vendor(tmp_path: Path) -> Path:
    return tmp_path / "vendor"


def tree_of(vendor: Path) -> set[str]:
    tree = vendor / "llama.cpp"
    return {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()}


def test_only_what_the_build_needs_is_unpacked(archive: Path, vendor: Path) -> None:
    assert fetch.fetch(make_pin(archive), vendor, [], Source(archive))
    assert tree_of(vendor) == {
        "LICENSE",
        "src/a.cpp",
        "src/models/b.cpp",
        "ggml/src/core.c",
        fetch.STAMP,
    }
    assert (vendor / "llama.cpp/src/a.cpp").read_text() == "int a;"


def test_a_second_run_does_nothing(archive: Path, vendor: Path) -> None:
    pin, source = make_pin(archive), Source(archive)
    fetch.fetch(pin, vendor, [], source)
    shutil.rmtree(vendor / ".download")
    assert not fetch.fetch(pin, vendor, [], source)
    assert source.n_calls == 1
    assert not (vendor / ".download").exists()


def test_an_interrupted_unpack_resumes_without_a_download(archive: Path, vendor: Path) -> None:
    pin, source = make_pin(archive), Source(archive)
    fetch.fetch(pin, vendor, [], source)
    (vendor / "llama.cpp" / fetch.STAMP).unlink()
    (vendor / ".download" / "unpacking").mkdir()
    (vendor / ".download" / "unpacking" / "half").write_text("x")
    assert fetch.fetch(pin, vendor, [], source)
    assert source.n_calls == 1
    assert "half" not in tree_of(vendor)


def test_a_damaged_kept_archive_is_fetched_again(archive: Path, vendor: Path) -> None:
    pin, source = make_pin(archive), Source(archive)
    (vendor / ".download").mkdir(parents=True)
    (vendor / ".download" / pin.file).write_bytes(b"\0" * pin.size_bytes)
    assert fetch.fetch(pin, vendor, [], source)
    assert source.n_calls == 1


def test_a_wrong_hash_says_both_and_unpacks_nothing(archive: Path, vendor: Path) -> None:
    pin = make_pin(archive)
    actual, pin = pin.sha256, dataclasses.replace(pin, sha256="0" * 64)
    with pytest.raises(fetch.FetchError) as error:
        fetch.fetch(pin, vendor, [], Source(archive))
    assert "0" * 64 in str(error.value)
    assert actual in str(error.value)
    assert not (vendor / "llama.cpp").exists()


def test_a_full_disk_says_how_much_is_needed(archive: Path, vendor: Path) -> None:
    pin = dataclasses.replace(make_pin(archive), unpacked_bytes=10**18)
    with pytest.raises(fetch.FetchError, match=r"1,0[\d,]+ bytes needed, [\d,]+ free"):
        fetch.fetch(pin, vendor, [], Source(archive))


def test_the_server_part_is_added_and_stays(archive: Path, vendor: Path) -> None:
    pin, source = make_pin(archive), Source(archive)
    fetch.fetch(pin, vendor, [], source)
    kept = vendor / "llama.cpp/src/a.cpp"
    os.utime(kept, (1000, 1000))
    assert fetch.fetch(pin, vendor, ["server"], source)
    assert "tools/server/main.cpp" in tree_of(vendor)
    assert kept.stat().st_mtime == 1000
    assert not fetch.fetch(pin, vendor, [], source)
    assert "tools/server/main.cpp" in tree_of(vendor)
    assert source.n_calls == 1


def test_an_edited_rule_unpacks_again(archive: Path, vendor: Path) -> None:
    pin, source = make_pin(archive), Source(archive)
    fetch.fetch(pin, vendor, [], source)
    parts = {**PARTS, "build": fetch.Part(("LICENSE", "src/", "unwanted.md"), ())}
    assert fetch.fetch(dataclasses.replace(pin, parts=parts), vendor, [], source)
    assert "unwanted.md" in tree_of(vendor)


def test_members_that_leave_the_tree_and_links_are_ignored(tmp_path: Path, vendor: Path) -> None:
    climbing = tarfile.TarInfo(f"{ROOT}/src/../../../../escaped")
    climbing.size = 1
    link = tarfile.TarInfo(f"{ROOT}/src/link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    archive = tmp_path / "evil.tar.gz"
    make_archive(archive, FILES, extra=[climbing, link])
    fetch.fetch(make_pin(archive), vendor, [], Source(archive))
    assert not (tmp_path / "escaped").exists()
    assert "src/link" not in tree_of(vendor)


def test_check_finds_a_changed_file(archive: Path, vendor: Path) -> None:
    pin = make_pin(archive)
    with pytest.raises(fetch.FetchError, match="is not the pinned source"):
        fetch.check(pin, vendor, [])
    fetch.fetch(pin, vendor, [], Source(archive))
    fetch.check(pin, vendor, [])
    (vendor / "llama.cpp/src/a.cpp").write_text("int changed;")
    with pytest.raises(fetch.FetchError, match="was changed"):
        fetch.check(pin, vendor, [])


def test_a_download_without_the_file_is_an_error(archive: Path, vendor: Path) -> None:
    with pytest.raises(fetch.FetchError, match=r"has no file pkg-1\.0\.tar\.gz"):
        fetch.fetch(make_pin(archive), vendor, [], lambda *_: None)


def test_of_two_runs_at_once_one_works(archive: Path, vendor: Path) -> None:
    pin, source = make_pin(archive), Source(archive)
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(fetch.fetch, pin, vendor, [], source) for _ in range(2)]
    assert sorted(run.result() for run in runs) == [False, True]
    assert source.n_calls == 1


def test_the_real_pin_is_complete() -> None:
    pin = fetch.load_pin(REPOSITORY / "vendor/llama.cpp.toml")
    assert len(pin.sha256) == 64
    assert pin.version in pin.file
    assert pin.parts["build"].takes("src/models/llama.cpp")
    assert not pin.parts["build"].takes("ggml/src/ggml-cuda/ggml-cuda.cu")
