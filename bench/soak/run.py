"""Soaks a real server: mixed traffic for minutes or hours, and then a table of what it stood.

python -m bench.soak.run MODEL.gguf --minutes 60
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.load import client as load
from bench.load.run import calibrate
from bench.load.workloads import Text
from bench.peers.peer import Settings
from bench.peers.pyserve import Pyserve
from bench.peers.server import LOG_DIR, Server, free_port, running
from bench.rows import machine_facts
from bench.soak.flood import Crowd, flood
from bench.soak.mix import Mix
from bench.soak.monitor import Monitor
from bench.soak.phases import N_AT_ONCE, Target, cancel_storm, churn, overload
from bench.soak.report import Check, Facts, checks, table

RESULT = Path("build/soak/result.json")
CTX_TOKENS = 2048
KV_TOKENS = 8192
# Few copies of prefixes, so that they have reached their bound before memory is watched.
FLAGS = ("--log-level", "info", "--log-format", "json", "--prefix-cache-mib", "16")
N_CLIENTS = 12
N_ALL_THREADS = Crowd(0, 0, 300)
REST_S = 8.0  # longer than a connection may be silent


@dataclass(frozen=True)
class Profile:
    """How much of everything one round has. Times in seconds, of each part of a phase."""

    warm_up_s: float
    steady_s: float
    overload_s: float
    overload_factor: float
    crowd: Crowd
    flood_s: float
    n_churn: int


PROFILES = {
    "short": Profile(10, 40, 8, 10, Crowd(200, 200, 50), 18, 200),
    "full": Profile(60, 420, 20, 10, Crowd(1000, 200, 50), 40, 1000),
}


async def soak(server: Server, port: int, profile: Profile, minutes: float) -> Facts:
    """Rounds of all phases until the minutes are over, one at least."""
    text = Text(await calibrate(load.Target(server.url)))
    target = Target(port, Mix(text, seed=1))
    monitor = Monitor(server.pid, port)
    await _warm_up(target, monitor, profile)
    monitor.phase = "rest"
    await asyncio.sleep(REST_S)
    baseline = (await monitor.look()).processes
    facts = Facts(baseline, [], monitor.samples, target.counts, target.failures)
    watching = asyncio.create_task(monitor.run())
    ends_s = time.monotonic() + 60 * minutes
    while not facts.storms or time.monotonic() < ends_s:
        await _round(target, monitor, profile, facts)
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    monitor.phase = "rest"
    await asyncio.sleep(REST_S)
    facts.end = (await monitor.look()).processes
    facts.n_busy_at_end = await target.n_busy()
    return facts


async def _warm_up(target: Target, monitor: Monitor, profile: Profile) -> None:
    """Everything once, so that threads are there and caches are filled; nothing is kept of it."""
    monitor.phase = "warm-up"
    await target.closed_loop(N_CLIENTS, profile.warm_up_s, target.mix.next)
    await asyncio.gather(*(target.fire(shot) for shot in target.mix.all_hostile()))
    await flood(target, N_ALL_THREADS, seconds=1)
    target.counts.clear()
    target.failures.clear()


async def _round(target: Target, monitor: Monitor, profile: Profile, facts: Facts) -> None:
    monitor.phase = "steady"
    await target.closed_loop(N_CLIENTS, profile.steady_s, target.mix.next)
    monitor.phase = "overload"
    facts.overloads.append(await overload(target, profile.overload_s, profile.overload_factor))
    monitor.phase = "storm"
    facts.storms.append(await cancel_storm(target))
    monitor.phase = "flood"
    facts.floods.append(await flood(target, profile.crowd, profile.flood_s))
    monitor.phase = "churn"
    facts.churn_idle_s.append(await churn(target, profile.n_churn))


def run(model: Path, profile: Profile, minutes: float) -> Facts:
    """Start a server of `model`, soak it, and stop it. Raises PeerError when it does not start."""
    peer = Pyserve("soak", FLAGS)
    settings = Settings(
        model=model,
        port=free_port(),
        threads=len(os.sched_getaffinity(0)),
        n_parallel=N_AT_ONCE,
        ctx_tokens=CTX_TOKENS,
        kv_tokens=KV_TOKENS,
    )
    with running(peer, settings) as server:
        facts = asyncio.run(soak(server, settings.port, profile, minutes))
        facts.exit_code = server.stop()
    facts.log_bytes = (LOG_DIR / f"{peer.name}.log").stat().st_size
    return facts


def as_json(facts: Facts, rows: Sequence[Check]) -> dict[str, Any]:
    """Everything that was seen, for a file."""
    return {
        "machine": machine_facts(),
        "flags": FLAGS,
        "checks": [asdict(row) for row in rows],
        "counts": {f"{kind} {outcome}": n for (kind, outcome), n in facts.counts.items()},
        "failures": facts.failures,
        "samples": [asdict(sample) for sample in facts.samples],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--minutes", type=float, default=0.0, help="rounds are begun so long")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="short")
    parser.add_argument("--no-times", action="store_true", help="judge nothing that takes time")
    parser.add_argument("--result", type=Path, default=RESULT)
    args = parser.parse_args()
    facts = run(args.model, PROFILES[args.profile], args.minutes)
    rows = checks(facts)
    print(table(rows, is_timing_judged=not args.no_times))
    for failure in facts.failures:
        print(failure)
    is_right = all(row.is_right or (row.is_timed and args.no_times) for row in rows)
    args.result.parent.mkdir(parents=True, exist_ok=True)
    args.result.write_text(json.dumps(as_json(facts, rows)))
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
