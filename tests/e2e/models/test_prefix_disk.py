"""Computed prefixes outlive servers, also those that are killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.limits import SOON_S
from tests.support.server import ServerProcess, wait_until
from tests.support.tiny.llama import write_tiny_llama

PROMPT = [65 + i * 7 % 26 for i in range(300)]
BODY = {"prompt": PROMPT, "max_tokens": 16, "temperature": 0, "logprobs": 0}


@pytest.fixture
def model(run_dir: Path) -> Path:
    return write_tiny_llama(run_dir / "tiny.gguf", n_ctx=1024)


def ask(server: ServerProcess) -> dict[str, Any]:
    response = httpx.post(f"{server.url}/v1/completions", json=BODY, timeout=60, trust_env=False)
    assert response.status_code == httpx.codes.OK, response.text
    answer: dict[str, Any] = response.json()
    return answer


def n_cached(answer: dict[str, Any]) -> int:
    n: int = answer["usage"]["prompt_tokens_details"]["cached_tokens"]
    return n


def metric(server: ServerProcess, name: str) -> float:
    page = httpx.get(f"{server.url}/metrics", timeout=SOON_S, trust_env=False).text
    lines = [line for line in page.splitlines() if line.startswith(f"{name}{{")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def test_a_killed_server_goes_on_where_it_was_and_another_model_does_not(
    make_server, model: Path, run_dir: Path
) -> None:
    warm = run_dir / "warm.jsonl"
    warm.write_text(json.dumps({"prompt": PROMPT}) + "\n", encoding="utf-8")
    args = [str(model), "--prefix-cache-min-tokens", "128", "--threads", "1"]
    first = make_server([*args, "--warm", str(warm)]).start()
    wait_until(lambda: metric(first, "pyserve_prefix_disk_writes_total") > 0, 60, "a write")
    before = ask(first)
    assert n_cached(before) == len(PROMPT) - 1
    wait_until(lambda: "line 1: 300 tokens" in first.output(), 60, "the prompt is told")
    first.close()  # by SIGKILL, all processes
    second = make_server(args).start()
    after = ask(second)
    assert n_cached(after) == len(PROMPT) - 1
    assert metric(second, "pyserve_prefix_disk_hits_total") == 1
    assert after["choices"] == before["choices"]
    second.close()
    write_tiny_llama(model, n_ctx=1024, seed=7)
    third = make_server(args).start()
    assert n_cached(ask(third)) == 0
