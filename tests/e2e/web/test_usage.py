"""Usage over several front workers, and over a restart of the server."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.support.limits import SOON_S
from tests.support.server import ServerProcess, wait_until

N_REQUESTS = 12
BODY = {"messages": [{"role": "user", "content": "one two three"}], "max_tokens": 3}


def used(server: ServerProcess) -> dict[str, int]:
    answer = httpx.get(f"{server.url}/v1/usage", timeout=SOON_S, trust_env=False).json()
    line: dict[str, int] = answer["data"][0]
    return line


def measured(server: ServerProcess) -> float:
    """Requests whose first token was measured, as the worker that answers tells it."""
    page = httpx.get(f"{server.url}/metrics", timeout=SOON_S, trust_env=False).text
    name = 'pyserve_time_to_first_token_seconds_count{endpoint="chat",model="fake"} '
    return sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith(name))


def test_usage_is_of_all_workers_and_outlives_the_server(
    make_server: Callable[..., ServerProcess], run_dir: Path
) -> None:
    args = ["--engine", "fake", "--workers", "2", "--usage-file", str(run_dir / "usage.sqlite")]
    server = make_server(args).start()
    n_tokens = 0
    for _ in range(N_REQUESTS):  # each on a connection of its own: either worker may have it
        url = f"{server.url}/v1/chat/completions"
        answer = httpx.post(url, json=BODY, timeout=SOON_S, trust_env=False).json()
        n_tokens += answer["usage"]["total_tokens"]
    wait_until(lambda: used(server)["requests"] == N_REQUESTS, SOON_S, "all are counted")
    assert used(server)["total_tokens"] == n_tokens
    for _ in range(4):  # of whichever worker
        wait_until(lambda: measured(server) == N_REQUESTS, SOON_S, "all are measured")
    httpx.post(f"{server.url}/v1/chat/completions", json=BODY, timeout=SOON_S, trust_env=False)
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    later = make_server(args).start()
    assert used(later)["requests"] == N_REQUESTS + 1
