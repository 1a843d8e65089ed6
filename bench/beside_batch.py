"""Measures what a running batch costs those who wait for an answer, of our own server.

    python -m bench.beside_batch --model default
    python -m bench.beside_batch --model FILE.gguf --variant 'short=--max-token-gap-ms 50'

Clients ask with pauses, in blocks: alone, and beside a batch of `/v1/batches` that outlasts
the block, in alternating order. The table has the median and p95 of both, and the medians' ratio.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from bench.load.client import Reply, Target, stream
from bench.load.figures import quantiles_ms
from bench.load.workloads import Text, distinct
from bench.models import resolve
from bench.peers.peer import PeerError, Settings
from bench.peers.pyserve import Pyserve, parse_variant
from bench.peers.server import free_port, running

N_PROMPT, N_ANSWER = 200, 64
N_LINES = 2000  # more than a block has time for
PAUSE_S = (0.2, 0.6)
CTX_TOKENS, N_PARALLEL = 512, 16
SETTLE_S, POLL_S = 1.0, 0.05
TIMES = ("first token", "whole answer")

Times = dict[str, list[float]]  # seconds by what they are of


async def block(target: Target, n_clients: int, n_requests: int, seed: int) -> Times:
    """The times of `n_requests` by each of `n_clients`. Raises RuntimeError for one that failed."""

    async def client(number: int) -> list[Reply]:
        pauses = random.Random(seed + number)
        replies = []
        first = seed + 1000 * number
        for request in distinct(
            Text(), n_requests, n_prompt=N_PROMPT, max_tokens=N_ANSWER, seed=first
        ):
            await asyncio.sleep(pauses.uniform(*PAUSE_S))
            replies.append(await stream(target, request))
        return replies

    every = [
        reply
        for replies in await asyncio.gather(*(client(number) for number in range(n_clients)))
        for reply in replies
    ]
    for reply in every:
        if reply.error:
            raise RuntimeError(reply.error)
    return {
        TIMES[0]: [reply.ttft_s for reply in every],
        TIMES[1]: [reply.end_s - reply.start_s for reply in every],
    }


class Batch:
    """A batch that runs while this is entered. n_done: lines that were answered meanwhile."""

    def __init__(self, url: str, seed: int) -> None:
        self._http = httpx.Client(base_url=url, timeout=60, trust_env=False)
        self._seed = seed
        self._id = ""
        self.n_done = 0
        self.seconds = 0.0

    def __enter__(self) -> Batch:
        lines = (
            {
                "custom_id": str(number),
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": request.body(is_plain=False),
            }
            for number, request in enumerate(
                distinct(Text(), N_LINES, n_prompt=N_PROMPT, max_tokens=N_ANSWER, seed=-self._seed)
            )
        )
        data = "".join(json.dumps(line) + "\n" for line in lines)
        form = {"data": {"purpose": "batch"}, "files": {"file": ("in.jsonl", data.encode())}}
        file_id = self._ask("POST", "/v1/files", **form)["id"]
        asked = {"input_file_id": file_id, "completion_window": "24h"}
        asked["endpoint"] = "/v1/chat/completions"
        self._id = self._ask("POST", "/v1/batches", json=asked)["id"]
        self._wait_for("in_progress")
        time.sleep(SETTLE_S)
        self._started_s, self._n_before = time.monotonic(), self._n_completed()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.seconds = time.monotonic() - self._started_s
        self.n_done = self._n_completed() - self._n_before
        self._ask("POST", f"/v1/batches/{self._id}/cancel")
        self._wait_for("cancelled")
        self._http.close()

    def _n_completed(self) -> int:
        return int(self._ask("GET", f"/v1/batches/{self._id}")["request_counts"]["completed"])

    def _wait_for(self, status: str) -> None:
        while self._ask("GET", f"/v1/batches/{self._id}")["status"] != status:
            time.sleep(POLL_S)

    def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        response = self._http.request(method, path, **options)
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer


def table(alone: Times, beside: Times) -> list[str]:
    """Lines of Markdown."""
    lines = [
        "| | alone, ms: p50, p95 | beside a batch, ms: p50, p95 | ratio of p50 | n |",
        "| --- | --- | --- | --- | --- |",
    ]
    for what in TIMES:
        one, other = quantiles_ms(alone[what]), quantiles_ms(beside[what])
        ratio = other["p50"] / one["p50"]
        lines.append(
            f"| {what} | {one['p50']:.0f}, {one['p95']:.0f} | {other['p50']:.0f},"
            f" {other['p95']:.0f} | {ratio:.2f} | {len(beside[what])} |"
        )
    return lines


def measure(peer: Pyserve, model: Path, args: argparse.Namespace) -> list[str]:
    """The table of one server. Raises PeerError, RuntimeError and httpx.HTTPError."""
    kv_tokens = CTX_TOKENS * N_PARALLEL
    settings = Settings(model, free_port(), args.threads, N_PARALLEL, CTX_TOKENS, kv_tokens)
    times: list[Times] = [{what: [] for what in TIMES} for _ in range(2)]
    n_lines, batch_s = 0, 0.0
    with running(peer, settings) as server:
        target = Target(server.url)
        for number in range(args.rounds):
            for has_batch in (number % 2 == 1, number % 2 == 0):
                seed = 100_000 * (2 * number + has_batch + 1)
                if has_batch:
                    with Batch(server.url, seed) as batch:
                        found = asyncio.run(block(target, args.clients, args.requests, seed))
                    n_lines, batch_s = n_lines + batch.n_done, batch_s + batch.seconds
                else:
                    found = asyncio.run(block(target, args.clients, args.requests, seed))
                for what in TIMES:
                    times[has_batch][what] += found[what]
    notes = f"meanwhile {60 * n_lines / batch_s:.0f} lines of the batch a minute"
    return [f"{peer.name}, {model.name}, {args.clients} clients, {notes}", "", *table(*times), ""]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="default", help="a GGUF file, or as in bench.compare")
    parser.add_argument("--variant", action="append", default=[], help="as in bench.compare")
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=8, help="of each client in a block")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args(argv)
    try:
        [model] = resolve([args.model])
        peers = [Pyserve(), *map(parse_variant, args.variant)]
        for peer in peers:
            with tempfile.TemporaryDirectory() as directory:
                environ = {**peer.environ, "PYSERVE_RESPONSE_STORE_DIR": directory}
                own = Pyserve(peer.name, peer.extra_flags, environ)
                print(*measure(own, model.path, args), sep="\n", flush=True)
    except (PeerError, LookupError, ValueError, RuntimeError, httpx.HTTPError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
