"""LoRA adapters of a real server: from YAML, as models, per request, and set for all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import openai
import pytest

from tests.e2e.conftest import MakeServer
from tests.support.limits import SOON_S
from tests.support.server import ServerProcess, wait_until
from tests.support.tiny.llama import write_tiny_llama
from tests.support.tiny.lora import make_lora, write_lora

MODEL = """
name: base
parameters: {model: tiny.gguf, temperature: 0, max_tokens: 12}
lora_adapters: [loras/one.gguf, "second=loras/two.gguf"]
lora_scales: [0, 0]
"""
NAMES = ["base", "base-one", "second"]


@pytest.fixture
def server(make_server: MakeServer, run_dir: Path) -> ServerProcess:
    directory = run_dir / "models"
    (directory / "loras").mkdir(parents=True)
    base = write_tiny_llama(directory / "tiny.gguf")
    for seed, name in enumerate(("one", "two"), start=1):
        write_lora(directory / "loras" / f"{name}.gguf", make_lora(base, seed=seed))
    (directory / "base.yaml").write_text(MODEL)
    return make_server(["--models-dir", str(directory), "--parallel", "4"]).start()


def text_of(client: openai.OpenAI, model: str, **extra: object) -> str:
    answer = client.completions.create(model=model, prompt="a long time ago", extra_body=extra)
    assert answer.model == model
    return answer.choices[0].text


def test_one_engine_serves_a_model_and_its_adapters(
    server: ServerProcess, client: openai.OpenAI
) -> None:
    assert [model.id for model in client.models.list()] == NAMES
    texts = {name: text_of(client, name) for name in NAMES}
    assert len(set(texts.values())) == len(NAMES)
    assert text_of(client, "base", lora=[{"id": 1, "scale": 1.0}]) == texts["second"]
    assert text_of(client, "second", lora=[]) == texts["base"]
    with ThreadPoolExecutor(12) as pool:
        crowd = list(pool.map(lambda name: (name, text_of(client, name)), NAMES * 8))
    assert [text for name, text in crowd] == [texts[name] for name, _ in crowd]
    with httpx.Client(base_url=server.url, timeout=SOON_S, trust_env=False) as http:
        assert http.post("/lora-adapters", json=[{"id": 0, "scale": 1}]).json() == {"success": True}
        assert [each["scale"] for each in http.get("/lora-adapters").json()] == [1, 0]
        assert len(http.get("/health").json()["models"]) == 1
    assert text_of(client, "base") == texts["base-one"]


def test_an_option_names_an_adapter(make_server: MakeServer, run_dir: Path) -> None:
    base = write_tiny_llama(run_dir / "tiny.gguf")
    path = write_lora(run_dir / "lora.gguf", make_lora(base))
    args = [str(base), "--models-dir", str(run_dir), "--lora", f"pirate={path}:0.5"]
    with httpx.Client(
        base_url=make_server(args).start().url, timeout=SOON_S, trust_env=False
    ) as http:
        (adapter,) = http.get("/v1/lora-adapters", timeout=SOON_S).json()
    assert (adapter["name"], adapter["scale"], adapter["model"]) == ("pirate", 0.5, "pirate")


@pytest.mark.parametrize(
    ("lora", "problem"),
    [
        ("none.gguf", "does not exist"),
        ("tiny.gguf", "is no LoRA adapter"),
        ("lora.gguf:1e9", "the scale of 'lora.gguf' is 1e+09"),
        ("wrong.gguf", "cannot load the adapter wrong.gguf"),
        ("cut.gguf", "cut.gguf is damaged"),
    ],
)
def test_an_adapter_that_cannot_be_used_is_named(
    make_server: MakeServer, run_dir: Path, lora: str, problem: str
) -> None:
    base = write_tiny_llama(run_dir / "tiny.gguf")
    adapter = make_lora(base)
    whole = write_lora(run_dir / "lora.gguf", adapter).read_bytes()
    (run_dir / "cut.gguf").write_bytes(whole[:-100])
    write_lora(run_dir / "wrong.gguf", adapter, architecture="gemma3")
    server = make_server([str(base), "--models-dir", str(run_dir), "--lora", lora])
    server.start(wait=False)
    wait_until(lambda: problem in server.output(), SOON_S, problem)
