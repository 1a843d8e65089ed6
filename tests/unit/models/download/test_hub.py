"""Models from a stand-in of the hub, over loopback."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyserve.errors import ModelNotFoundError
from pyserve.models.download.hub import Hub, HubReference, choose_files, parse_reference
from pyserve.models.download.pull import PullOptions, pull
from pyserve.models.download.sources import PullError
from tests.support.hub_server import FakeHub, serve_hub

HEAD = b"GGUF\x03\x00\x00\x00" + bytes(16)


def content(word: str) -> bytes:
    return HEAD + word.encode() * 1000


FILES = {
    "org/model-GGUF/README.md": b"text",
    "org/model-GGUF/model-Q4_0.gguf": content("q4_0"),
    "org/model-GGUF/model-Q4_K_M.gguf": content("q4_k_m"),
    "org/model-GGUF/mmproj-Q4_K_M.gguf": content("mmproj"),
    "org/model-GGUF/imatrix-Q4_K_M.gguf": content("imatrix"),
    "org/model-GGUF/UPPER-Q3_K_S.GGUF": content("upper"),
    "org/split/big/m-Q8_0-00001-of-00002.gguf": content("one"),
    "org/split/big/m-Q8_0-00002-of-00002.gguf": content("two"),
}


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with serve_hub(FakeHub(dict(FILES))) as hub:
        yield hub


def get(what: str, directory: Path, hub: FakeHub, sha256: str | None = None, **environ: str) -> str:
    options = PullOptions(
        directory, output=io.StringIO(), hub=Hub({"HF_ENDPOINT": hub.url, **environ})
    )
    return pull(what, options, sha256=sha256).name


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("org/name", HubReference("org/name")),
        ("org/name:Q4_K_M", HubReference("org/name", None, "Q4_K_M")),
        ("hf.co/org/name:q8_0", HubReference("org/name", None, "q8_0")),
        ("huggingface://org/name/f.gguf", HubReference("org/name", "f.gguf")),
        ("hf:org/n/sub/f.gguf", HubReference("org/n", "sub/f.gguf")),
        ("name", None),
        ("org/../name", None),
        ("../org/name.gguf", None),
        ("org/file.gguf", None),
        ("/org/name", None),
        ("org/name:a b", None),
        ("a/b/c", None),
    ],
)
def test_references(text: str, reference: HubReference | None):
    assert parse_reference(text) == reference


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("org/model-GGUF", "model-Q4_K_M.gguf"),
        ("org/model-GGUF:q4_0", "model-Q4_0.gguf"),
        ("org/model-GGUF:latest", "model-Q4_K_M.gguf"),
        ("org/model-GGUF:q3_k_s", "UPPER-Q3_K_S.GGUF"),
        ("org/model-GGUF/UPPER-Q3_K_S.GGUF", "UPPER-Q3_K_S.GGUF"),
        ("hf.co/org/model-GGUF/model-Q4_0.gguf", "model-Q4_0.gguf"),
    ],
)
def test_a_model_is_fetched_and_verified(tmp_path: Path, hub: FakeHub, what: str, name: str):
    assert get(what, tmp_path, hub) == name
    assert (tmp_path / name).read_bytes() == FILES[f"org/model-GGUF/{name}"]
    n_requests = len(hub.requests)
    assert get(what, tmp_path, hub) == name
    assert len(hub.requests) == n_requests + 1, "what is here is not fetched again"


def test_all_parts_of_a_split_model_are_fetched(tmp_path: Path, hub: FakeHub):
    assert get("org/split", tmp_path, hub) == "m-Q8_0-00001-of-00002.gguf"
    assert {path.name for path in tmp_path.glob("*.gguf")} == {
        "m-Q8_0-00001-of-00002.gguf",
        "m-Q8_0-00002-of-00002.gguf",
    }


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("org/model-GGUF:Q2_K", "has no Q2_K; it has: UPPER-Q3_K_S.GGUF, model-Q4_0.gguf, model-Q"),
        ("org/model-GGUF/other.gguf", "has no other.gguf"),
        ("org/none", "no repository 'org/none'"),
    ],
)
def test_what_is_not_there_is_told(tmp_path: Path, hub: FakeHub, what: str, words: str):
    with pytest.raises(PullError, match=words):
        get(what, tmp_path, hub)
    assert not list(tmp_path.glob("*.gguf"))


def test_a_file_that_is_not_what_the_hub_says_is_thrown_away(tmp_path: Path, hub: FakeHub):
    hub.wrong_hash = True
    with pytest.raises(PullError, match="not what was expected"):
        get("org/model-GGUF", tmp_path, hub)
    assert not list(tmp_path.rglob("*.gguf*part"))
    assert not list(tmp_path.glob("*.gguf"))


def test_the_token_is_for_the_hub_and_not_for_where_it_sends_us(tmp_path: Path, hub: FakeHub):
    hub.token = "secret"
    with pytest.raises(PullError, match="HF_TOKEN"):
        get("org/model-GGUF", tmp_path, hub)
    hub.requests.clear()
    get("org/model-GGUF", tmp_path, hub, HF_TOKEN="secret")
    shown = [(path.split("/")[1], token) for path, token in hub.requests]
    assert shown == [("api", "Bearer secret"), ("org", "Bearer secret"), ("cdn", None)]


def test_offline_takes_what_is_cached(tmp_path: Path, hub: FakeHub):
    cache = tmp_path / "cache"
    snapshot = cache / "models--org--model-GGUF" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    blob = cache / "blob"
    blob.write_bytes(content("cached"))
    (snapshot / "model-Q4_0.gguf").symlink_to(blob)
    environ = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(cache)}
    models = tmp_path / "models"
    assert get("org/model-GGUF", models, hub, **environ) == "model-Q4_0.gguf"
    assert (models / "model-Q4_0.gguf").read_bytes() == content("cached")
    assert not (models / "model-Q4_0.gguf").is_symlink()
    with pytest.raises(PullError, match="HF_HUB_OFFLINE"):
        get("org/other", models, hub, **environ)
    assert hub.requests == []


def test_names_of_the_hub_cannot_lead_out_of_the_directory(tmp_path: Path):
    name = "org/evil/../../out-Q4_0.gguf"
    with serve_hub(FakeHub({name: content("x")})) as hub:
        get("org/evil", tmp_path / "models", hub)
    assert {path.name for path in tmp_path.rglob("*.gguf")} == {"out-Q4_0.gguf"}
    assert list(tmp_path.glob("*.gguf")) == []


def test_a_server_that_is_no_hub(tmp_path: Path, hub: FakeHub):
    with pytest.raises(PullError, match="does not answer as the hub does"):
        get("org/model-GGUF", tmp_path, hub, HF_ENDPOINT=f"{hub.url}/cdn/org/model-GGUF/README.md?")
    with pytest.raises(ModelNotFoundError):
        get("no such thing", tmp_path, hub)


def test_one_word_of_the_name_is_the_quantization():
    names = ["m-IQ4_XS.gguf", "m-Q4_K_S.gguf", "m.q4_k.gguf"]
    for quant, expected in [("q4_k", "m.q4_k.gguf"), ("IQ4_XS", "m-IQ4_XS.gguf")]:
        assert choose_files(dict.fromkeys(names, 0), HubReference("o/n", None, quant)) == [expected]
    with pytest.raises(PullError):
        choose_files(dict.fromkeys(names, 0), HubReference("o/n", None, "Q4"))


SIZES = {
    "m-F16.gguf": 60, "m-Q4_K_M-00001-of-00002.gguf": 15, "m-Q4_K_M-00002-of-00002.gguf": 15,
    "m-UD-Q3_K_XL.gguf": 20, "m-Q2_K.gguf": 12, "m-Q8_0.gguf": 40,
}  # fmt: skip


@pytest.mark.parametrize(
    ("room", "first", "n_files"),
    [
        (None, "m-Q4_K_M-00001-of-00002.gguf", 2),
        (100, "m-Q4_K_M-00001-of-00002.gguf", 2),
        (29, "m-UD-Q3_K_XL.gguf", 1),
        (15, "m-Q2_K.gguf", 1),
        (5, "m-Q2_K.gguf", 1),  # nothing fits: the smallest
    ],
)
def test_a_quantization_that_fits_is_preferred(room: int | None, first: str, n_files: int):
    names = choose_files(SIZES, HubReference("o/n"), room)
    assert (names[0], len(names)) == (first, n_files)


def test_a_wish_is_granted_whatever_fits():
    assert choose_files(SIZES, HubReference("o/n", None, "F16"), 5) == ["m-F16.gguf"]
    assert choose_files(SIZES, HubReference("o/n", "m-Q8_0.gguf"), 5) == ["m-Q8_0.gguf"]


def test_what_does_not_fit_is_said_before_it_is_fetched(tmp_path: Path, hub: FakeHub):
    output = io.StringIO()
    options = PullOptions(tmp_path, output=output, hub=Hub({"HF_ENDPOINT": hub.url}), room=10)
    assert pull("org/model-GGUF", options).is_file()
    assert "NOTE: the weights have" in output.getvalue()
