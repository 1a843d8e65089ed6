"""POST /api/pull, /api/copy and DELETE /api/delete, and who may."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from pyserve.backend.protocol import ModelStatus
from pyserve.models.facts import file_facts
from pyserve.models.gallery import load_gallery
from tests.support.front import Front
from tests.support.ollama_lines import lines_of
from tests.support.tiny.llama import write_tiny_llama

PULL, COPY, DELETE = "/api/pull", "/api/copy", "/api/delete"
ADMIN, USER = "sk-of-an-admin", "sk-of-a-user"
KEYS = f"""
[[keys]]
key = "{ADMIN}"
admin = true
[[keys]]
key = "{USER}"
"""


@pytest.fixture
def front(start, models_dir, hub) -> Front:
    front: Front = start(models_dir=models_dir)
    return front


def test_a_model_of_the_hub_is_got_with_progress(front, models_dir, hub):
    (content,) = hub.files.values()
    digest = hashlib.sha256(content).hexdigest()
    first, *middle, writing, last = lines_of(front.post(PULL, {"model": "org/tiny-GGUF:Q4_0"}))
    assert first == {"status": "pulling manifest"}
    assert (writing, last) == ({"status": "writing manifest"}, {"status": "success"})
    progress = [told for told in middle if "completed" in told]
    assert progress[-1] == {
        "status": f"pulling {digest[:12]}",
        "digest": f"sha256:{digest}",
        "total": len(content),
        "completed": len(content),
    }
    assert {"status": "verifying sha256 digest"} in middle
    path = models_dir / "tiny-Q4_0.gguf"
    assert path.read_bytes() == content
    facts = file_facts(path, load_gallery())
    assert facts is not None
    assert (facts.digest, facts.is_hash) == (digest, True)
    path.touch()
    changed = file_facts(path, load_gallery())
    assert changed is not None
    assert not changed.is_hash


def test_a_plain_pull_ends_with_success(front, models_dir):
    for _ in range(2):  # also what is there already
        response = front.post(PULL, {"name": "hf.co/org/tiny-GGUF", "stream": False})
        assert response.get_json() == {"status": "success"}
    assert (models_dir / "tiny-Q4_0.gguf").is_file()


def test_a_wrong_hash_ends_the_stream_with_an_error(front, models_dir, hub):
    hub.wrong_hash = True
    *_, last = lines_of(front.post(PULL, {"model": "org/tiny-GGUF"}))
    assert set(last) == {"error"}
    assert "sha256" in last["error"]
    assert list(models_dir.glob("*.gguf")) == []
    plain = front.post(PULL, {"model": "org/tiny-GGUF", "stream": False})
    assert (plain.status_code, set(plain.get_json())) == (503, {"error"})


@pytest.mark.parametrize(
    ("model", "status"),
    [
        ("no-such-model", 404),
        ("/etc/passwd", 404),
        ("./models", 404),
        ("file:///etc/passwd", 404),
        ("http://127.0.0.1:9/x.gguf", 403),
        ("http://[::1/x.gguf", 403),
        ("https://example.com/x.gguf", 403),
        ("", 400),
        ("x" * 300, 400),
    ],
)
def test_other_sources_are_refused(front, model, status):
    response = front.post(PULL, {"model": model})
    assert (response.status_code, set(response.get_json())) == (status, {"error"})


def test_a_file_of_this_machine_is_no_name(front, models_dir, hub, tmp_path, monkeypatch):
    (tmp_path / "org").mkdir()
    (tmp_path / "org" / "secret").write_bytes(next(iter(hub.files.values())))
    monkeypatch.chdir(tmp_path)
    *_, last = lines_of(front.post(PULL, {"model": "org/secret"}))
    assert "no repository" in last["error"]
    assert list(models_dir.glob("*.gguf")) == []


def test_a_url_of_an_allowed_host_is_got(start, models_dir, hub):
    front = start(models_dir=models_dir, pull_allow=["127.0.0.1"])
    url = f"{hub.url}/cdn/org/tiny-GGUF/tiny-Q4_0.gguf"
    assert lines_of(front.post(PULL, {"model": url}))[-1] == {"status": "success"}
    assert (models_dir / "tiny-Q4_0.gguf").is_file()


def with_file(start, models_dir: Path, **settings: Any) -> Front:
    path = write_tiny_llama(models_dir / "own.gguf")
    elsewhere = write_tiny_llama(models_dir.parent / "other.gguf")
    statuses = (
        ModelStatus(id="own", created=1, state="unloaded", model_path=str(path)),
        ModelStatus(id="other", created=1, state="unloaded", model_path=str(elsewhere)),
    )
    front: Front = start(models=(), others=statuses, models_dir=models_dir, **settings)
    return front


def remove(front: Front, name: str, **options: Any) -> Any:
    return front.client.delete(DELETE, json={"model": name}, **options)


def test_a_file_of_the_models_directory_is_removed(start, models_dir):
    front = with_file(start, models_dir)
    assert remove(front, "own:latest").status_code == 200
    assert not (models_dir / "own.gguf").exists()


def test_nothing_else_is_removed(start, models_dir):
    front = with_file(start, models_dir)
    named = (("other", 403), ("../other", 404), ("own.gguf", 404), ("none", 404), ("OWN", 400))
    for name, status in named:
        response = remove(front, name)
        assert (response.status_code, set(response.get_json())) == (status, {"error"}), name
    assert (models_dir.parent / "other.gguf").is_file()
    assert (models_dir / "own.gguf").is_file()


def test_a_further_name_is_a_file_that_can_be_removed(start, models_dir):
    front = with_file(start, models_dir)
    asked = {"source": "own", "destination": "my:1b"}
    for _ in range(2):
        assert front.post(COPY, asked).status_code == 200
    (path,) = models_dir.glob("*.yaml")
    assert path.read_text() == 'name: "my:1b"\nalias: "own"\n'
    assert remove(front, "my:1b").status_code == 200
    assert list(models_dir.glob("*.yaml")) == []
    assert (models_dir / "own.gguf").is_file()


@pytest.mark.parametrize(
    ("source", "destination", "status"),
    [
        ("none", "x", 404),
        ("own", "other", 400),
        ("own", "../x", 400),
        ("own", "", 400),
        ("own", "a\nb", 400),
        ("own", "x" * 200, 400),
    ],
)
def test_bad_names_are_refused(start, models_dir, source, destination, status):
    response = with_file(start, models_dir).post(
        COPY, {"source": source, "destination": destination}
    )
    assert (response.status_code, set(response.get_json())) == (status, {"error"})
    assert list(models_dir.glob("*.yaml")) == []


def asked_of(front: Front, **options: Any) -> list[int]:
    """The statuses of all that change files."""
    return [
        front.post(PULL, {"model": "nothing"}, **options).status_code,
        front.post(COPY, {"source": "none", "destination": "x"}, **options).status_code,
        remove(front, "none", **options).status_code,
    ]


def test_files_are_the_administrators(start, models_dir, tmp_path):
    keys = tmp_path / "keys.toml"
    keys.write_text(KEYS)
    front = with_file(start, models_dir, api_key_file=keys)
    assert asked_of(front) == [401] * 3
    assert asked_of(front, headers={"Authorization": f"Bearer {USER}"}) == [403] * 3
    assert asked_of(front, headers={"Authorization": f"Bearer {ADMIN}"}) == [404] * 3


def test_without_keys_only_this_machine_changes_files(start, models_dir):
    public = with_file(start, models_dir, host="0.0.0.0", insecure=True)
    assert asked_of(public) == [403] * 3
    assert asked_of(with_file(start, models_dir)) == [404] * 3


@pytest.mark.parametrize("path", ["/api/create", "/api/push", "/api/blobs/sha256:00"])
def test_what_is_not_built_says_so(front, path):
    response = front.post(path, {"model": "x"})
    assert (response.status_code, set(response.get_json())) == (501, {"error"})
    assert "this server does not" in response.get_json()["error"]


def test_no_blob_is_here(front):
    response = front.client.head(f"/api/blobs/sha256:{'0' * 64}")
    assert (response.status_code, response.data) == (501, b"")
