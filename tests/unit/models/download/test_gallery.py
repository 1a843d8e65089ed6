"""The gallery's models of the hub, against a stand-in of it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyserve.errors import ModelLoadError
from pyserve.models.download.hub import Hub
from pyserve.models.download.pull import PullOptions, pull
from pyserve.models.download.sources import PullError
from pyserve.models.gallery import Gallery, GalleryEntry, HubSource, load_gallery
from pyserve.models.model_file import named_file
from tests.support.hub_server import FakeHub, serve_hub

HEAD = b"GGUF\x03\x00\x00\x00" + bytes(16)
GALLERY = load_gallery()
OF_HUB = [entry for entry in GALLERY.models if entry.sources[0].kind == "hub"]


def repo_of(entry: GalleryEntry) -> str:
    source = entry.sources[0]
    assert isinstance(source, HubSource)
    return source.repo


def content(entry: GalleryEntry) -> bytes:
    return HEAD + entry.name.encode() * 100


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    files = {f"{repo_of(entry)}/{entry.file}": content(entry) for entry in OF_HUB}
    with serve_hub(FakeHub(files)) as hub:
        yield hub


def get(name: str, directory: Path, hub: FakeHub, gallery: Gallery = GALLERY) -> Path:
    options = PullOptions(
        directory, output=io.StringIO(), accept=lambda _: True, hub=Hub({"HF_ENDPOINT": hub.url})
    )
    return pull(name, options, gallery=gallery)


@pytest.mark.parametrize("entry", OF_HUB, ids=lambda entry: entry.name)
def test_every_entry_is_resolved_and_verified(
    tmp_path: Path, hub: FakeHub, entry: GalleryEntry
) -> None:
    path = get(entry.name, tmp_path, hub)
    assert path == tmp_path / entry.file
    assert path.read_bytes() == content(entry)
    n_requests = len(hub.requests)
    assert get(entry.name, tmp_path, hub) == path
    assert len(hub.requests) == n_requests
    served = named_file(path, GALLERY)
    assert served.id == entry.name
    assert served.profile.defaults == entry.sampling.model_dump(exclude_none=True)


def test_another_hash_than_the_hub_says_is_thrown_away(tmp_path: Path, hub: FakeHub) -> None:
    hub.wrong_hash = True
    with pytest.raises(PullError, match="not what was expected"):
        get("qwen3.5-4b", tmp_path, hub)
    assert not list(tmp_path.rglob("*.gguf*part"))
    assert not list(tmp_path.glob("*.gguf"))


@pytest.mark.parametrize("name", ["qwen3.5-4b-q4_k_m.GGUF", "Other-Q4_K_M.gguf"])
def test_a_file_of_another_name_is_found_by_its_quantization(tmp_path: Path, name: str) -> None:
    entry = GALLERY.find("qwen3.5-4b")
    assert entry is not None
    files = {
        f"{repo_of(entry)}/{name}": content(entry),
        f"{repo_of(entry)}/mmproj-Q4_K_M.gguf": HEAD,
    }
    with serve_hub(FakeHub(files)) as hub:
        path = get(entry.name, tmp_path, hub)
    assert (path.name, path.read_bytes()) == (entry.file, content(entry))


def test_what_the_hub_does_not_have_is_told(tmp_path: Path) -> None:
    entry = GALLERY.find("qwen3.5-4b")
    assert entry is not None
    with (
        serve_hub(FakeHub({f"{repo_of(entry)}/m-Q8_0.gguf": HEAD})) as hub,
        pytest.raises(PullError, match=r"has no Q4_K_M; it has: m-Q8_0\.gguf"),
    ):
        get(entry.name, tmp_path, hub)


def test_a_web_page_in_place_of_a_model_is_not_taken(tmp_path: Path, hub: FakeHub) -> None:
    entry = OF_HUB[0]
    hub.files[f"{repo_of(entry)}/{entry.file}"] = b"<!DOCTYPE html>" + bytes(100)
    with pytest.raises(ModelLoadError, match="is a web page"):
        get(entry.name, tmp_path, hub)
    assert not list(tmp_path.glob("*.gguf"))


def test_entries_of_the_hub_have_what_fitting_needs() -> None:
    for entry in OF_HUB:
        assert entry.context > 0, entry.name
        assert 0.4 < entry.size_bytes / (entry.params * 1e9) < 1.2, entry.name
        assert entry.active_params <= entry.params, entry.name
        assert (entry.rank > 0) == (entry.task == "chat"), entry.name


def test_names_are_unique_whatever_their_case() -> None:
    files = [entry.file.lower() for entry in GALLERY.models]
    assert len(set(files)) == len(files)
