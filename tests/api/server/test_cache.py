"""POST /cache/clear."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pyserve.backend.protocol import ModelStatus
from tests.support.front import error_of

COLD = ModelStatus(id="cold", created=1, state="unloaded", model_path="/models/cold.gguf")
KEYS = """
[[keys]]
key = "sk-a-user"
name = "user"
[[keys]]
key = "sk-an-admin"
name = "admin"
admin = true
"""


def write_prefixes(root: Path, model: str, n_bytes: int) -> Path:
    folder = root / model
    folder.mkdir(parents=True)
    (folder / "about.json").write_text(json.dumps({"file": f"/models/{model}.gguf"}))
    (folder / "1.prefix").write_bytes(bytes(n_bytes))
    return folder


def test_prefixes_in_memory_and_on_disk_are_given_up(start, tmp_path):
    root = tmp_path / "disk"
    folders = [write_prefixes(root, "cold", 100), write_prefixes(root, "other", 50)]
    front = start(models=("a", "b"), others=(COLD,), prefix_cache_dir=root)
    done = front.post("/cache/clear", {"model": "cold"}).get_json()
    assert done == {"success": True, "models": [], "deleted_bytes": 100}
    assert [folder.exists() for folder in folders] == [False, True]
    done = front.post("/cache/clear", {}).get_json()
    assert done == {"success": True, "models": ["a", "b"], "deleted_bytes": 50}
    assert [core.n_cleared for core in front.cores.values()] == [1, 1]
    front.post("/cache/clear", {"model": "b"})
    assert [core.n_cleared for core in front.cores.values()] == [1, 2]


@pytest.mark.parametrize(
    "settings", [{"prefix_cache_read_only": True}, {"prefix_cache_disk_mib": 0}]
)
def test_a_directory_that_is_not_this_servers_to_write_stays(start, tmp_path, settings):
    folder = write_prefixes(tmp_path / "disk", "other", 50)
    front = start(prefix_cache_dir=tmp_path / "disk", **settings)
    assert front.post("/cache/clear", {}).get_json()["deleted_bytes"] == 0
    assert folder.exists()


def test_an_unknown_model_is_not_found_and_users_may_not(start, tmp_path):
    response = start().post("/cache/clear", {"model": "x"})
    assert (response.status_code, error_of(response)["param"]) == (404, "model")
    keys = tmp_path / "keys.toml"
    keys.write_text(KEYS)
    front = start(api_key_file=keys)
    codes = [
        front.client.post(
            "/cache/clear", json={}, headers={"Authorization": f"Bearer {key}"}
        ).status_code
        for key in ("sk-a-user", "sk-an-admin")
    ]
    assert codes == [403, 200]
