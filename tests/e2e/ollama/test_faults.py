"""Ollama's API over real processes: calls, crashes, clients that leave, files."""

from __future__ import annotations

import json

import httpx
import ollama
import pytest

from tests.support.hub_server import FakeHub, serve_hub
from tests.support.limits import SOON_S
from tests.support.server import ServerProcess, wait_until
from tests.support.tiny.llama import write_tiny_llama

ADMIN, USER = "sk-of-an-admin", "sk-of-a-user"
KEYS = f"""
[[keys]]
key = "{ADMIN}"
admin = true
tenant = "owner"
[[keys]]
key = "{USER}"
tenant = "user"
"""


def test_a_client_that_leaves_is_cancelled(calm_server):
    body = {"model": "x", "messages": [{"role": "user", "content": "#hold=2 x y z"}]}
    url = f"{calm_server.url}/api/chat"
    with httpx.stream("POST", url, json=body, timeout=SOON_S, trust_env=False) as response:
        lines = response.iter_lines()
        assert json.loads(next(lines))["done"] is False
        assert n_in_work(calm_server) == 1
    wait_until(lambda: n_in_work(calm_server) == 0, SOON_S, "the request is cancelled")


def n_in_work(server: ServerProcess) -> int:
    text = httpx.get(f"{server.url}/metrics", timeout=SOON_S, trust_env=False).text
    (line,) = [
        line for line in text.splitlines() if line.startswith("llamacpp:requests_processing")
    ]
    return int(float(line.rpartition(" ")[2]))


def test_a_model_is_got_served_named_and_removed(client_of, make_server, run_dir):
    (run_dir / "keys.toml").write_text(KEYS)
    models = run_dir / "models"
    models.mkdir()
    content = write_tiny_llama(models / "first.gguf").read_bytes()
    with serve_hub(FakeHub({"org/tiny-GGUF/tiny-Q4_0.gguf": content})) as hub:
        server = make_server(
            ["--models-dir", str(models), "--api-key-file", str(run_dir / "keys.toml")],
            env={"HF_ENDPOINT": hub.url},
        ).start()
        admin, user = client_of(server, ADMIN), client_of(server, USER)
        with pytest.raises(ollama.ResponseError, match="administrator"):
            user.pull("org/tiny-GGUF")
        *progress, last = admin.pull("org/tiny-GGUF", stream=True)
        assert last.status == "success"
        assert any(told.completed == told.total == len(content) for told in progress)
    assert names(user) == {"first:latest", "tiny-Q4_0:latest"}
    assert user.generate("tiny-Q4_0", "hi", options={"num_predict": 2}).eval_count == 2
    assert {each.model for each in user.ps().models} >= {"tiny-Q4_0:latest"}
    admin.copy("tiny-Q4_0", "mine:1b")
    assert names(user) == {"first:latest", "tiny-Q4_0:latest", "mine:1b"}
    assert user.generate("mine:1b", "hi", options={"num_predict": 2}).eval_count == 2
    with pytest.raises(ollama.ResponseError, match="administrator"):
        user.delete("mine:1b")
    admin.delete("mine:1b")
    admin.delete("tiny-Q4_0")
    assert names(user) == {"first:latest"}
    assert [path.name for path in models.glob("[!.]*")] == ["first.gguf"]


def names(client: ollama.Client) -> set[str | None]:
    return {each.model for each in client.list().models}
