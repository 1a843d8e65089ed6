"""llama-server's own endpoints, answered by the default model."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.server import sse_events

pytestmark = pytest.mark.model

PROMPT: dict[str, Any] = {"prompt": "The capital of France is", "temperature": 0, "n_predict": 6}


def test_a_stream_has_the_text_and_the_tokens_of_the_plain_answer(http: httpx.Client) -> None:
    body = {**PROMPT, "n_probs": 3, "return_tokens": True}
    plain = http.post("/completion", json=body).json()
    assert "Paris" in plain["content"]
    assert (plain["stop_type"], plain["tokens_predicted"]) == ("limit", 6)
    assert len(plain["tokens"]) == len(plain["completion_probabilities"]) == 6
    assert plain["timings"]["predicted_ms"] > 0
    for token, shown in zip(plain["tokens"], plain["completion_probabilities"], strict=True):
        assert (shown["id"], len(shown["top_logprobs"])) == (token, 3)
        assert shown["logprob"] == shown["top_logprobs"][0]["logprob"]
    response = http.post("/completion", json={**body, "stream": True})
    parts: list[Any] = list(sse_events(response))
    assert "".join(part["content"] for part in parts) == plain["content"]
    assert [token for part in parts for token in part["tokens"]] == plain["tokens"]
    assert [part["stop"] for part in parts] == [False] * (len(parts) - 1) + [True]


def test_a_running_request_takes_a_slot(http: httpx.Client) -> None:
    body = {"prompt": "Once", "n_predict": -1, "ignore_eos": True, "stream": True}
    with http.stream("POST", "/completion", json=body) as response:
        lines = response.iter_lines()  # without a name it would be closed, and the response
        assert next(lines)
        slots = http.get("/slots").json()
    assert any(slot["is_processing"] for slot in slots)
    assert len(slots) == http.get("/props").json()["total_slots"]
