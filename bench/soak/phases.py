"""The loads of a soak, one function each."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from bench.load.figures import quantiles_ms
from bench.soak import barrage
from bench.soak.exchange import Outcome, Result, Shot, exchange, http_request
from bench.soak.mix import Mix

N_AT_ONCE = 16  # as many as decode at once
N_STORM = 200
STORM_LEAVE_S = 0.5
NORMAL_FACTOR = 2.0  # latency is normal up to so many times what it was before
RECOVERY_S = 60.0
POLL_S = 0.05
GAUGES = ("llamacpp:requests_processing", "llamacpp:requests_deferred", "pyserve_requests_in_work")
N_KEPT_FAILURES = 50


@dataclass
class Target:
    """The server, what it is asked, and what became of all that."""

    port: int
    mix: Mix
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    async def fire(self, shot: Shot) -> Result:
        result = await exchange(self.port, shot)
        self.count(result)
        return result

    def count(self, result: Result) -> None:
        """Note what became of a request."""
        self.counts[result.kind, result.outcome] += 1
        if result.outcome is Outcome.FAILED and len(self.failures) < N_KEPT_FAILURES:
            self.failures.append(f"{result.kind}: {result.why}")

    async def closed_loop(
        self, n_clients: int, seconds: float, make: Callable[[], Shot]
    ) -> list[Result]:
        """So many clients, each sending its next request when it has the answer to the last."""
        ends_s = time.monotonic() + seconds
        results: list[Result] = []

        async def client() -> None:
            while time.monotonic() < ends_s:
                results.append(await self.fire(make()))

        await asyncio.gather(*(client() for _ in range(n_clients)))
        return results

    async def n_busy(self) -> float:
        """Requests that the server has in work, as it says itself."""
        pages: list[bytes] = []

        def keep(body: bytes) -> int:
            pages.append(body)
            return 0

        result = await exchange(self.port, Shot("metrics", http_request("GET", "/metrics"), keep))
        if result.outcome is not Outcome.DONE:
            raise RuntimeError(f"/metrics: {result.why}")
        values = dict(re.findall(r"^([\w:]+) (\S+)$", pages[0].decode(), re.MULTILINE))
        return sum(float(values[name]) for name in GAUGES)

    async def seconds_until_idle(self, timeout_s: float) -> float:
        """How long the server has work that nobody waits for; inf = longer than `timeout_s`."""
        began_s = time.monotonic()
        while await self.n_busy() > 0:
            if time.monotonic() - began_s > timeout_s:
                return float("inf")
            await asyncio.sleep(POLL_S)
        return time.monotonic() - began_s


@dataclass(frozen=True)
class Overload:
    """peak_tokens_per_s: mean of before and after, so that a machine that gets slower or faster
    meanwhile does not count. n_odd: answers that were neither given nor refused properly.
    """

    peak_tokens_per_s: float
    goodput_tokens_per_s: float
    n_done: int
    n_refused: int
    n_odd: int
    refusal_ms: dict[str, float]
    recovery_s: float


async def overload(target: Target, seconds: float, factor: float) -> Overload:
    """Requests at `factor` times the rate that the server can do, and its way back to normal."""
    make = target.mix.equal
    normal_s = min([(await target.fire(make())).seconds for _ in range(3)])
    before = await _at_peak(target, seconds)
    rate = factor * len(before) / _wall_s(before)
    burst = await _over_peak(target, rate, seconds)
    last_sent_s = max(result.start_s for result in burst)
    recovered_s = await _recovery(target, make, normal_s)
    after = await _at_peak(target, seconds)
    refused = [result.seconds for result in burst if result.outcome is Outcome.REFUSED]
    return Overload(
        peak_tokens_per_s=round((_tokens_per_s(before) + _tokens_per_s(after)) / 2, 1),
        goodput_tokens_per_s=round(_tokens_per_s(burst), 1),
        n_done=_count(burst, Outcome.DONE),
        n_refused=len(refused),
        n_odd=_count(burst, Outcome.FAILED),
        refusal_ms=quantiles_ms(refused) if refused else {},
        recovery_s=round(recovered_s - last_sent_s, 1),
    )


async def _at_peak(target: Target, seconds: float) -> list[Result]:
    """As many clients as decode at once."""
    arguments = target.port, N_AT_ONCE, seconds, target.mix.equal
    return _counted(target, await asyncio.to_thread(barrage.closed_loop, *arguments))


async def _over_peak(target: Target, per_s: float, seconds: float) -> list[Result]:
    """Requests at random times, made beforehand: that is no work of the clients'."""
    shots = [target.mix.equal() for _ in range(math.ceil(per_s * seconds))]
    return _counted(target, await asyncio.to_thread(barrage.open_loop, target.port, shots, per_s))


def _counted(target: Target, results: list[Result]) -> list[Result]:
    for result in results:
        target.count(result)
    return results


async def _recovery(target: Target, make: Callable[[], Shot], normal_s: float) -> float:
    """When a request, alone, took no longer than it did before."""
    gives_up_s = time.monotonic() + RECOVERY_S
    while time.monotonic() < gives_up_s:
        result = await target.fire(make())
        if result.outcome is Outcome.DONE and result.seconds <= NORMAL_FACTOR * normal_s:
            return result.start_s
        await asyncio.sleep(POLL_S)
    return float("inf")


@dataclass(frozen=True)
class Storm:
    """idle_s: until nothing was in work any more. last_s: what the request after it took."""

    idle_s: float
    last_s: float


async def cancel_storm(target: Target) -> Storm:
    """Clients that ask for very long answers, and go away after half a second."""
    long = replace(target.mix.equal(max_tokens=10_000), kind="storm", leave_s=STORM_LEAVE_S)
    await asyncio.gather(*(target.fire(long) for _ in range(N_STORM)))
    idle_s = await target.seconds_until_idle(RECOVERY_S)
    last = await target.fire(target.mix.equal(max_tokens=10))
    took_s = last.seconds if last.outcome is Outcome.DONE else float("inf")
    return Storm(round(idle_s, 2), round(took_s, 2))


async def churn(target: Target, n_requests: int) -> float:
    """Clients that all go away; the seconds until the server has forgotten them."""
    shots = iter([target.mix.leaver() for _ in range(n_requests)])

    async def client() -> None:
        for shot in shots:
            await target.fire(shot)

    await asyncio.gather(*(client() for _ in range(N_AT_ONCE)))
    return round(await target.seconds_until_idle(RECOVERY_S), 2)


def _wall_s(results: Iterable[Result]) -> float:
    results = list(results)
    return max(result.end_s for result in results) - min(result.start_s for result in results)


def _tokens_per_s(results: Iterable[Result]) -> float:
    done = [result for result in results if result.outcome is Outcome.DONE]
    return sum(result.n_tokens for result in done) / _wall_s(done) if done else 0.0


def _count(results: Iterable[Result], outcome: Outcome) -> int:
    return sum(result.outcome is outcome for result in results)
