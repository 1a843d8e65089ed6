"""Models of the gallery in the running server: their sampling, and advice on better ones."""

from __future__ import annotations

import os
from pathlib import Path

import httpx

from pyserve.models.fitting import advised, this_machine
from pyserve.models.gallery import load_gallery
from tests.e2e.conftest import MakeServer
from tests.support.limits import SOON_S
from tests.support.server import wait_until
from tests.support.tiny.llama import write_tiny_llama


def test_recommended_sampling_is_the_default(make_server: MakeServer, run_dir: Path) -> None:
    entry = load_gallery().find("qwen3.5-4b")
    assert entry is not None
    directory = run_dir / "models"
    directory.mkdir()
    write_tiny_llama(directory / entry.file)
    server = make_server(["--models-dir", str(directory), "--parallel", "1"]).start()
    assert [
        model["id"] for model in httpx.get(f"{server.url}/v1/models", timeout=SOON_S).json()["data"]
    ] == [entry.name]
    params = httpx.get(f"{server.url}/props?autoload=true", timeout=SOON_S).json()
    found = params["default_generation_settings"]["params"]
    wanted = entry.sampling.model_dump(exclude_none=True)
    assert {name: found[name] for name in wanted} == wanted


def test_the_small_default_names_a_better_model(make_server: MakeServer, run_dir: Path) -> None:
    gallery = load_gallery()
    directory = run_dir / "models"
    directory.mkdir()
    default = gallery.default_entry()
    # Any file of its size will do, and a model that is not loaded takes no time.
    head = write_tiny_llama(directory / "x.gguf").read_bytes()
    (directory / "x.gguf").rename(directory / default.file)
    with (directory / default.file).open("ab") as stream:
        stream.write(bytes(64))
        os.truncate(stream.fileno(), default.size_bytes)
    assert len(head) < default.size_bytes
    server = make_server(["--models-dir", str(directory), "--parallel", "1"]).start()
    best = advised(gallery, this_machine())
    log = directory.parent / "server.log"
    wait_until(lambda: "Ctrl-C ends it" in log.read_text(), SOON_S, "the banner")
    assert server.url
    if best is not None:
        wait_until(lambda: f"serve {best.name}" in log.read_text(), SOON_S, "the advice")
