"""Runs a workload against one server and sums it up.

python -m bench.load.run URL --workload distinct --clients 16 --requests 32
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import sys
import time
from collections.abc import Iterable, Sequence

from bench.load.client import Reply, stream_chat
from bench.load.workloads import Request, chat_turns, distinct, shared

LONG_PROMPT_TOKENS = 2000
N_TURNS = 6


async def closed_loop(url: str, requests: Iterable[Request], n_clients: int) -> list[Reply]:
    """`n_clients` clients, each sending its next request when the last one has ended."""
    queue = iter(list(requests))
    replies: list[Reply] = []

    async def client() -> None:
        for request in queue:
            replies.append(await stream_chat(url, request.body()))

    await asyncio.gather(*(client() for _ in range(n_clients)))
    return replies


async def conversations(url: str, n_clients: int, seed: int) -> list[Reply]:
    """Each client holds a conversation of six turns."""

    async def client(number: int) -> list[Reply]:
        chat = chat_turns(N_TURNS, seed=seed + number)
        replies = []
        request: Request | None = next(chat)
        while request is not None:
            replies.append(await stream_chat(url, request.body()))
            try:
                request = chat.send(replies[-1].text)
            except StopIteration:
                request = None
        return replies

    all_replies = await asyncio.gather(*(client(i) for i in range(n_clients)))
    return list(itertools.chain.from_iterable(all_replies))


async def arrival(url: str, n_clients: int, seed: int) -> list[Reply]:
    """Running streams, among which a long prompt arrives; the streams' replies are returned."""
    running = [
        asyncio.create_task(stream_chat(url, request.body()))
        for request in distinct(n_clients, n_prompt=50, max_tokens=150, seed=seed)
    ]
    await asyncio.sleep(3)
    long = distinct(1, n_prompt=LONG_PROMPT_TOKENS, max_tokens=8, seed=seed + 500)[0]
    late = await stream_chat(url, long.body())
    replies = await asyncio.gather(*running)
    if late.error:
        replies[0].error = late.error
    return list(replies)


async def run(url: str, workload: str, n_clients: int, n_requests: int, seed: int) -> list[Reply]:
    if workload == "distinct":
        return await closed_loop(url, distinct(n_requests, seed=seed), n_clients)
    if workload == "shared":
        return await closed_loop(url, shared(n_requests, seed=seed), n_clients)
    if workload == "chat":
        return await conversations(url, n_clients, seed)
    return await arrival(url, n_clients, seed)


def quantiles_ms(values: Sequence[float]) -> dict[str, float]:
    """p50, p95, p99 and max, in milliseconds."""
    ordered = sorted(values)

    def at(q: float) -> float:
        return round(1000 * ordered[min(len(ordered) - 1, int(q * len(ordered)))], 1)

    return {"p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "max": at(1.0)}


def summary(replies: Sequence[Reply], wall_s: float) -> dict[str, object]:
    """Totals of one run; failed requests are counted and left out of the times."""
    good = [reply for reply in replies if not reply.error]
    errors = [reply.error for reply in replies if reply.error]
    out: dict[str, object] = {"n": len(replies), "n_errors": len(errors)}
    if errors:
        out["error"] = errors[0][:300]
    if good:
        gaps = [gap for reply in good for gap in reply.gaps_s]
        out |= {
            "tokens_per_s": round(sum(reply.n_tokens for reply in good) / wall_s, 1),
            "ttft_ms": quantiles_ms([reply.ttft_s for reply in good]),
            "gap_ms": quantiles_ms(gaps) if gaps else {},
            "latency_s": round(statistics.median(r.end_s - r.start_s for r in good), 2),
        }
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument(
        "--workload", choices=["distinct", "shared", "chat", "arrival"], default="distinct"
    )
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--requests", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    n_requests = args.requests or max(4, 2 * args.clients)
    started = time.monotonic()
    replies = asyncio.run(run(args.url, args.workload, args.clients, n_requests, args.seed))
    json.dump(
        {"workload": args.workload, "clients": args.clients}
        | summary(replies, time.monotonic() - started),
        sys.stdout,
    )
    print()


if __name__ == "__main__":
    main()
