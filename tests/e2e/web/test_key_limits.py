"""The limits of one key, over several front workers."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.limits import SOON_S
from tests.support.server import ServerProcess, is_alive, wait_until

KEY, THRIFTY = "sk-limited-key", "sk-thrifty-key"
LIMIT = 4
N_TOKENS, DAY_S = 5000, 86_400  # one comes back in 17 seconds
BODY = {"messages": [{"role": "user", "content": "#hold=2 x y z"}], "stream": True}
HEADERS = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
def server(make_server: Callable[..., ServerProcess], run_dir: Path) -> ServerProcess:
    keys = run_dir / "keys.toml"
    keys.write_text(
        f'[[keys]]\nkey = "{KEY}"\nmax_concurrency = {LIMIT}\n'
        f'[[keys]]\nkey = "{THRIFTY}"\ntokens_per_day = {N_TOKENS}\n'
    )
    args = ["--engine", "fake", "--workers", "2", "--api-key-file", str(keys)]
    return make_server(args).start()


@contextlib.contextmanager
def stream(server: ServerProcess) -> Iterator[httpx.Response]:
    """A stream on a connection of its own, so that any worker may have it."""
    url = f"{server.url}/v1/chat/completions"
    with (
        httpx.Client(timeout=SOON_S, trust_env=False) as client,
        client.stream("POST", url, json=BODY, headers=HEADERS) as response,
    ):
        yield response


def statuses(streams: contextlib.ExitStack, server: ServerProcess) -> list[int]:
    """Of twice as many streams as the key may have at once; those that run are held open."""
    return [streams.enter_context(stream(server)).status_code for _ in range(2 * LIMIT)]


def test_a_key_has_one_limit_and_killed_workers_give_it_back(server: ServerProcess) -> None:
    expected = [200] * LIMIT + [429] * LIMIT
    with contextlib.ExitStack() as streams:
        assert statuses(streams, server) == expected
        workers = server.master().children()
        assert len(workers) == 2
        for worker in workers:
            worker.kill()
        wait_until(lambda: not any(map(is_alive, workers)), SOON_S, "the workers end")
    server.wait_healthy()
    with contextlib.ExitStack() as streams:
        assert statuses(streams, server) == expected


def test_the_tokens_of_all_workers_are_one_sum(server: ServerProcess) -> None:
    used, headers = 0, {"Authorization": f"Bearer {THRIFTY}"}
    begun_at = time.monotonic()
    for _ in range(3 * LIMIT):  # each on a connection of its own
        body = {"messages": [{"role": "user", "content": "x y z"}], "max_tokens": 50}
        url = f"{server.url}/v1/chat/completions"
        answer = httpx.post(url, json=body, headers=headers, timeout=SOON_S, trust_env=False)
        used += answer.json()["usage"]["total_tokens"]
        n_left = int(answer.headers["x-ratelimit-remaining-tokens"])
        n_back = math.ceil((time.monotonic() - begun_at) * N_TOKENS / DAY_S)
        assert N_TOKENS - used <= n_left <= N_TOKENS - used + n_back + 1
