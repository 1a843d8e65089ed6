"""A dead engine, as Anthropic's clients see it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from tests.e2e.conftest import DEFAULT_MODEL, TIMEOUT_S, MakeServer
from tests.support.limits import SOON_S
from tests.support.server import ServerProcess, wait_until

SAID: list[Any] = [{"role": "user", "content": "Tell me about the sea."}]
GREEDY = {"temperature": 0, "deterministic": True}
N_TOKENS = 48


@contextlib.contextmanager
def client_of(server: ServerProcess, key: str = "none", **options: Any) -> Iterator[Any]:
    with anthropic.Anthropic(
        base_url=server.url,
        timeout=TIMEOUT_S,
        **{"api_key": key, "max_retries": 0, **options},
    ) as client:
        yield client


@pytest.mark.model
def test_a_stream_goes_on_after_its_engine_was_killed(make_server: MakeServer) -> None:
    server = make_server([DEFAULT_MODEL, "--ctx-size", "1024"]).start()
    asked: Any = {"model": "x", "max_tokens": N_TOKENS, "messages": SAID, "extra_body": GREEDY}
    with client_of(server) as client:
        plain = client.messages.create(**asked)
        first = server.engine()
        with client.messages.stream(**asked) as stream:
            for n, _ in enumerate(stream.text_stream):
                if n == N_TOKENS // 4:
                    first.kill()
            message = stream.get_final_message()
    wait_until(lambda: server.engine().pid != first.pid, SOON_S, "a new engine")
    assert message.content[0].text == plain.content[0].text
    assert message.usage.output_tokens == plain.usage.output_tokens
