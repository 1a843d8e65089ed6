"""How clients send: in a closed loop, at random arrival times, in turns, or among running streams.

A load of n means n clients, except in the open loop, where it means n requests per minute.
Each function returns the replies and the figures that only its workload has.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass

from bench.load.client import Reply, Target, stream
from bench.load.figures import gaps_between, quantiles_ms
from bench.load.workloads import Request, Text, chat_turns, distinct

SETTLED_EVENTS = 8
CHAT_SEED_STEP = 1000


@dataclass(frozen=True)
class Outcome:
    """Replies of the requests that count, and extra figures by name."""

    replies: list[Reply]
    extra: dict[str, object]


async def closed_loop(target: Target, requests: Sequence[Request], n_clients: int) -> Outcome:
    """`n_clients` clients, each sending its next request when the last one has ended."""
    queue = iter(requests)
    replies: list[Reply] = []

    async def client() -> None:
        for request in queue:
            replies.append(await stream(target, request))

    await asyncio.gather(*(client() for _ in range(n_clients)))
    return Outcome(replies, {})


async def open_loop(
    target: Target, requests: Sequence[Request], per_minute: float, seed: int
) -> Outcome:
    """Requests at Poisson arrival times, however slowly the server answers."""
    tasks = []
    for request, pause_s in zip(requests, poisson_pauses(per_minute / 60, seed), strict=False):
        await asyncio.sleep(pause_s)
        tasks.append(asyncio.create_task(stream(target, request)))
    return Outcome(list(await asyncio.gather(*tasks)), {})


def poisson_pauses(per_s: float, seed: int) -> itertools.starmap[float]:
    """Endless pauses in seconds between arrivals at a mean rate; the same for the same seed."""
    return itertools.starmap(random.Random(seed).expovariate, itertools.repeat((per_s,)))


async def conversations(
    target: Target, text: Text, n_clients: int, n_turns: int, seed: int
) -> Outcome:
    """Each client holds one conversation. Later turns are also summed up on their own."""

    async def client(number: int) -> list[Reply]:
        start = seed + CHAT_SEED_STEP * number
        chat = chat_turns(text, n_turns, n_prompt=60, max_tokens=48, seed=start)
        replies: list[Reply] = []
        request: Request | None = next(chat)
        while request is not None:
            replies.append(await stream(target, request))
            try:
                request = chat.send(replies[-1].text)
            except StopIteration:
                request = None
        return replies

    chats = await asyncio.gather(*(client(number) for number in range(n_clients)))
    later = [reply.ttft_s for replies in chats for reply in replies[1:] if not reply.error]
    return Outcome(
        list(itertools.chain.from_iterable(chats)),
        {"later_ttft_ms": quantiles_ms(later)} if later else {},
    )


async def arrival(target: Target, text: Text, n_streams: int, n_long: int, seed: int) -> Outcome:
    """A prompt of `n_long` tokens arrives when all of `n_streams` streams are running.

    The replies are the streams'. arrival_gap_ms: of the gaps that overlap the time until the long
    prompt's first token; there are few of them when the streams stall, and they are long.
    """
    running = asyncio.Event()
    settled: set[int] = set()

    def on_text(reply: Reply) -> None:
        if len(reply.text_s) >= SETTLED_EVENTS:
            settled.add(id(reply))
        if len(settled) == n_streams:
            running.set()

    streams = asyncio.gather(
        *(
            stream(target, request, on_text)
            for request in distinct(text, n_streams, n_prompt=50, max_tokens=256, seed=seed)
        )
    )
    streams.add_done_callback(lambda _: running.set())
    await running.wait()
    [long] = distinct(text, 1, n_prompt=n_long, max_tokens=8, seed=seed + 500)
    late = await stream(target, long)
    replies = list(await streams)
    if late.error:
        return Outcome([*replies, late], {})
    gaps_s = gaps_between(replies, late.start_s, late.text_s[0])
    extra: dict[str, object] = {"late_ttft_ms": round(1000 * late.ttft_s, 1)}
    if gaps_s:
        extra["arrival_gap_ms"] = quantiles_ms(gaps_s)
    return Outcome(replies, extra)
