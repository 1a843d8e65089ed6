"""Keys, tenants, a full server and a dead engine, as Anthropic's clients see them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest

from tests.e2e.conftest import DEFAULT_MODEL, TIMEOUT_S, MakeServer
from tests.support.server import ServerProcess

HELD: list[Any] = [{"role": "user", "content": "#hold=2 x y z"}]
SAID: list[Any] = [{"role": "user", "content": "Tell me about the sea."}]
TOOL: Any = {
    "name": "weather",
    "description": "The weather of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string", "maxLength": 9}}},
}
KEYS = """
[[keys]]
key = "sk-first-key"
tenant = "first"
[[keys]]
key = "sk-second-key"
tenant = "second"
max_concurrency = 1
"""
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


def hold(client: anthropic.Anthropic) -> Any:
    """A stream that stays open."""
    return client.messages.create(model="x", max_tokens=9, messages=HELD, stream=True)


def test_a_full_server_is_asked_again_until_it_has_room(make_server: MakeServer) -> None:
    server = make_server(["--engine", "fake", "--max-streams", "1"]).start()
    with client_of(server) as holder:
        held = hold(holder)
        with client_of(server) as client, pytest.raises(anthropic.OverloadedError) as caught:
            client.messages.create(model="x", max_tokens=9, messages=SAID)
        assert (caught.value.status_code, caught.value.type) == (529, "overloaded_error")
        assert caught.value.request_id
        assert int(caught.value.response.headers["Retry-After"]) >= 1
        statuses: list[int] = []

        def release(response: httpx2.Response) -> None:
            statuses.append(response.status_code)
            held.close()

        hooks: Any = {"response": [release]}
        with (
            httpx2.Client(event_hooks=hooks, timeout=TIMEOUT_S, trust_env=False) as http_client,
            client_of(server, http_client=http_client, max_retries=9) as client,
        ):
            message = client.messages.create(model="x", max_tokens=9, messages=SAID)
    assert message.content[0].text == SAID[0]["content"]
    assert (statuses[0], statuses[-1]) == (529, 200)


def test_keys_have_their_limits(make_server: MakeServer, run_dir: Path) -> None:
    keys = run_dir / "keys.toml"
    keys.write_text(KEYS)
    server = make_server(["--engine", "fake", "--api-key-file", str(keys)]).start()
    asked: Any = {"model": "x", "max_tokens": 9, "messages": SAID}
    with client_of(server, "sk-wrong-key") as client:
        with pytest.raises(anthropic.AuthenticationError):
            client.messages.create(**asked)
        with pytest.raises(anthropic.AuthenticationError):
            client.messages.count_tokens(model="x", messages=SAID)
    with client_of(server, "sk-second-key") as client:
        held = hold(client)
        with pytest.raises(anthropic.RateLimitError) as caught:
            client.messages.create(**asked)
        assert caught.value.type == "rate_limit_error"
        held.close()
    with client_of(server, None, auth_token="sk-first-key") as client:
        assert client.messages.create(**asked).content[0].text == SAID[0]["content"]


@pytest.mark.model
def test_a_loop_of_two_turns_shares_a_prefix_with_its_tenant_alone(
    make_server: MakeServer, run_dir: Path
) -> None:
    keys = run_dir / "keys.toml"
    keys.write_text(KEYS)
    args = [DEFAULT_MODEL, "--ctx-size", "2048", "--api-key-file", str(keys)]
    server = make_server(args).start()
    with client_of(server, "sk-first-key") as first, client_of(server, "sk-second-key") as second:
        assert n_cached(loop(first, is_streamed=False)) > 0
        *_, again = loop(first, is_streamed=True)
        assert n_cached([again]) > 0
        begun, *_ = loop(second, is_streamed=True)
        assert n_cached([begun]) == 0


def loop(client: anthropic.Anthropic, *, is_streamed: bool) -> list[anthropic.types.Message]:
    """A call, its result, and the answer to that."""
    fields: Any = {
        "model": "x",
        "max_tokens": 60,
        "tools": [TOOL],
        "extra_body": {"temperature": 0},
    }

    def ask(turns: list[Any], **more: Any) -> anthropic.types.Message:
        if not is_streamed:
            return client.messages.create(messages=turns, **fields, **more)
        with client.messages.stream(messages=turns, **fields, **more) as stream:
            return stream.get_final_message()

    turns: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
    first = ask(turns, tool_choice={"type": "tool", "name": "weather"})
    (call,) = first.content
    assert isinstance(call, anthropic.types.ToolUseBlock)
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "It rains."}
    turns += [first.to_param(), {"role": "user", "content": [result]}]
    second = ask(turns, tool_choice={"type": "none"})
    assert second.content[0].type == "text"
    return [first, second]


def n_cached(messages: list[anthropic.types.Message]) -> int:
    return sum(message.usage.cache_read_input_tokens or 0 for message in messages)


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
    assert server.engine().pid != first.pid
    assert message.content[0].text == plain.content[0].text
    assert message.usage.output_tokens == plain.usage.output_tokens
