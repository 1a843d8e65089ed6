"""What the default model's server tells of the time that answers take."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.model

CHAT = "/v1/chat/completions"


def chunks_of(http: httpx.Client, body: dict[str, Any]) -> list[Any]:
    response = http.post(CHAT, json={**body, "stream": True})
    assert response.status_code == 200, response.text
    lines = [line.removeprefix("data: ") for line in response.text.splitlines()]
    return [json.loads(line) for line in lines if line.startswith("{")]


def test_a_long_prompt_tells_its_progress_and_its_times(http: httpx.Client) -> None:
    text = " ".join(f"The {i}th house has {i * 7} windows." for i in range(250))
    body = {
        "messages": [{"role": "user", "content": text}],
        "max_tokens": 3,
        "cache_salt": "progress",
        "return_progress": True,
        "timings": True,
        "return_token_ids": True,
    }
    chunks = chunks_of(http, body)
    told = [chunk["prompt_progress"] for chunk in chunks if "prompt_progress" in chunk]
    processed = [progress["processed"] for progress in told]
    assert processed == sorted(processed)
    assert {progress["total"] for progress in told} == {processed[-1]}
    assert len(told) > 2
    timings = chunks[-1]["timings"]
    assert timings["prompt_n"] + timings["cache_n"] == processed[-1]
    assert timings["predicted_n"] == 3
    assert timings["prompt_per_second"] > 0
    tokens = [
        token
        for chunk in chunks
        for each in chunk["choices"]
        for token in each.get("token_ids", [])
    ]
    assert len(tokens) == 3
