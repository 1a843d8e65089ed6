"""POST /infill, answered by a tiny model of random weights that knows files of projects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import MakeServer
from tests.support.server import ServerProcess, sse_events
from tests.support.tiny.llama import FIM_TOKENS, write_tiny_llama

N_CTX = 256


@pytest.fixture
def server(make_server: MakeServer, run_dir: Path) -> ServerProcess:
    path = run_dir / "infill.gguf"
    write_tiny_llama(path, n_ctx=N_CTX, infill=True, controls=("<|repo_name|>", "<|file_sep|>"))
    return make_server([str(path), "--threads", "1"]).start()


def test_editors_are_answered_within_the_context(http: httpx.Client) -> None:
    body: dict[str, Any] = {
        "input_prefix": "x = 1\n" * 100 + "def last():\n",
        "input_suffix": "\nend()\n",
        "input_extra": [{"filename": "far.py", "text": "y = 2\n" * 100}],
        "n_predict": 8,
        "temperature": 0,
        "ignore_eos": True,
        "return_tokens": True,
    }
    plain = http.post("/infill", json=body).raise_for_status().json()
    assert (plain["stop_type"], plain["tokens_predicted"]) == ("limit", 8)
    assert plain["tokens_evaluated"] <= N_CTX - 8
    assert not set(plain["tokens"]) & set(FIM_TOKENS.values())
    response = http.post("/infill", json={**body, "stream": True})
    parts: list[Any] = list(sse_events(response))
    assert "".join(part["content"] for part in parts) == plain["content"]
    assert parts[-1]["stop"]


def test_other_files_are_named_by_control_tokens(http: httpx.Client) -> None:
    body = {"input_prefix": "a", "input_suffix": "b", "n_predict": 1}
    extra = [{"filename": "far.py", "text": "y = <|file_sep|>"}]
    shown = http.post("/infill", json={**body, "input_extra": extra}).raise_for_status().json()
    assert shown["prompt"].count("<|repo_name|>") == 1
    assert shown["prompt"].count("<|file_sep|>") == 3
    one = http.post("/tokenize", json={"content": "<|file_sep|>"}).json()["tokens"]
    assert len(one) == 1
