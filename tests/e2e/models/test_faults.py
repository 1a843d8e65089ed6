"""What becomes of a server whose model file is changed under it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import MakeServer
from tests.support.limits import SOON_S
from tests.support.server import ServerProcess, wait_until
from tests.support.tiny.llama import write_tiny_llama


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_llama(tmp_path / "tiny.gguf")


@pytest.fixture
def tiny_server(make_server: MakeServer, model: Path) -> ServerProcess:
    return make_server([str(model), "--ctx-size", "128"]).start()


def ask(server: ServerProcess) -> httpx.Response:
    body = {"prompt": "the cat", "max_tokens": 4, "temperature": 0}
    return httpx.post(f"{server.url}/v1/completions", json=body, timeout=SOON_S, trust_env=False)


def test_a_file_that_is_replaced_or_removed_is_served_as_it_was(
    tiny_server: ServerProcess, model: Path, tmp_path: Path
) -> None:
    engine = tiny_server.engine()
    before = ask(tiny_server).raise_for_status().json()["choices"]
    write_tiny_llama(tmp_path / "other.gguf", seed=1).replace(model)
    assert ask(tiny_server).raise_for_status().json()["choices"] == before
    model.unlink()
    assert ask(tiny_server).raise_for_status().json()["choices"] == before
    assert tiny_server.engine().pid == engine.pid


def test_a_file_that_is_cut_off_fails_its_model_until_it_is_whole_again(
    tiny_server: ServerProcess, model: Path, tmp_path: Path
) -> None:
    whole = shutil.copy(model, tmp_path / "whole.gguf")
    worker = tiny_server.worker()
    os.truncate(model, 4096)
    reply = ask(tiny_server)
    assert reply.status_code == 503, reply.text
    assert reply.json()["error"]["code"] in {"model_load_failed", "engine_restarted"}
    wait_until(lambda: tiny_server.health() == 503, SOON_S, "/health is 503")
    assert len(tiny_server.find("pyserve.engine.main")) == 0  # it is not tried again and again
    assert tiny_server.worker().pid == worker.pid
    shutil.copy(whole, model)
    tiny_server.wait_healthy()
    wait_until(lambda: ask(tiny_server).status_code == 200, SOON_S, "it answers again")
