"""Answers of a real model whose engine is killed while it gives them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.e2e.conftest import DEFAULT_MODEL, TIMEOUT_S, MakeServer
from tests.support.limits import SOON_S
from tests.support.server import ServerProcess, sse_events, wait_until

pytestmark = pytest.mark.model

GREEDY = {"temperature": 0}
SEEDED = {"temperature": 0.9, "seed": 7}
N_TOKENS = 48


@pytest.fixture
def own_server(make_server: MakeServer) -> ServerProcess:
    return make_server([DEFAULT_MODEL, "--ctx-size", "1024"]).start()


def body(fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "messages": [{"role": "user", "content": "Tell me about the sea."}],
        "max_tokens": N_TOKENS,
        "deterministic": True,  # so that both answers are equal, and not only equally good
        **fields,
        **more,
    }


@pytest.mark.parametrize("fields", [GREEDY, SEEDED], ids=["greedy", "seeded"])
def test_a_stream_goes_on_after_its_engine_was_killed(
    own_server: ServerProcess, fields: dict[str, Any]
) -> None:
    with httpx.Client(base_url=own_server.url, timeout=TIMEOUT_S, trust_env=False) as client:
        plain = client.post("/v1/chat/completions", json=body(fields)).raise_for_status().json()
        first = own_server.engine()
        wanted = body(fields, stream=True, stream_options={"include_usage": True})
        text, usage = "", None
        with client.stream("POST", "/v1/chat/completions", json=wanted) as response:
            for n, event in enumerate(sse_events(response)):
                if n == N_TOKENS // 4:
                    first.kill()
                assert "error" not in event, event
                if not isinstance(event, dict):
                    continue
                usage = event["usage"] or usage
                text += "".join(c["delta"].get("content") or "" for c in event["choices"])
    wait_until(lambda: own_server.engine().pid != first.pid, SOON_S, "a new engine")
    assert text == plain["choices"][0]["message"]["content"]
    assert usage["completion_tokens"] == plain["usage"]["completion_tokens"] == N_TOKENS
    assert usage["prompt_tokens"] == plain["usage"]["prompt_tokens"]
