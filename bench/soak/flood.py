"""Clients that hold connections and do nothing, or very little, beside normal ones."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass

from bench.load.figures import quantiles_ms
from bench.soak.exchange import HOST, Outcome, Result, http_request
from bench.soak.hostile import CHAT
from bench.soak.monitor import HEALTH
from bench.soak.phases import Target

TRICKLE_S = 2.0
HEALTH_EVERY_S = 0.25
HEADER_S, BODY_S = 10.0, 30.0  # the server's deadlines
GRACE_S = 5.0
N_NORMAL = 2
HEADERS = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
N_BODY = 100_000  # too much to wait for without a thread
BODY = http_request("POST", CHAT, b" " * N_BODY)[:-N_BODY]


@dataclass(frozen=True)
class Crowd:
    """How many clients are silent, or send their headers, or large bodies, byte by byte."""

    n_silent: int
    n_headers: int
    n_bodies: int


@dataclass(frozen=True)
class Flood:
    """n_failed: normal requests that were not answered. n_kept: slow ones that outlived their
    deadline. health_ms, normal_ms: of the clients beside them.
    """

    n_failed: int
    n_kept: int
    health_ms: dict[str, float]
    normal_ms: dict[str, float]


async def flood(target: Target, crowd: Crowd, seconds: float) -> Flood:
    """Let the crowd in, and be a normal client beside it for so long."""
    slow = [asyncio.create_task(_silent(target.port, seconds)) for _ in range(crowd.n_silent)]
    kept = [
        asyncio.create_task(_trickle(target.port, begin, limit_s + GRACE_S, seconds))
        for begin, limit_s, n in (
            (HEADERS, HEADER_S, crowd.n_headers),
            (BODY, BODY_S, crowd.n_bodies),
        )
        for _ in range(n)
    ]
    asked = asyncio.create_task(_ask_health(target, seconds))
    normal = await target.closed_loop(N_NORMAL, seconds, target.mix.equal)
    health = await asked
    n_kept = sum(await asyncio.gather(*kept))
    await asyncio.gather(*slow)
    return Flood(
        n_failed=sum(result.outcome is not Outcome.DONE for result in [*normal, *health]),
        n_kept=n_kept,
        health_ms=quantiles_ms([result.seconds for result in health]),
        normal_ms=quantiles_ms([result.seconds for result in normal]),
    )


async def _ask_health(target: Target, seconds: float) -> list[Result]:
    ends_s = time.monotonic() + seconds
    results = []
    while time.monotonic() < ends_s:
        results.append(await target.fire(HEALTH))
        await asyncio.sleep(HEALTH_EVERY_S)
    return results


async def _silent(port: int, seconds: float) -> None:
    """Connect, and say nothing; the server may close when it likes."""
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection(HOST, port)
        await asyncio.sleep(seconds)
        writer.transport.abort()


async def _trickle(port: int, begin: bytes, limit_s: float, seconds: float) -> bool:
    """Send byte after byte for `seconds`; whether the server lets it for more than `limit_s`."""
    began_s = time.monotonic()
    ends_s = began_s + min(seconds, limit_s)
    with contextlib.suppress(OSError):
        reader, writer = await asyncio.open_connection(HOST, port)
        try:
            writer.write(begin)
            while time.monotonic() < ends_s:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(1), TRICKLE_S)
                    return False
                writer.write(b"x")
        finally:
            writer.transport.abort()
        return seconds > limit_s
    return False
