"""Soaks a server of three models that has memory for two: nothing may fail.

python -m bench.soak.models SMALL.gguf GEMMA.gguf --minutes 10
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from bench.load.figures import quantiles_ms
from bench.peers.peer import Command, Settings
from bench.peers.pyserve import Pyserve
from bench.peers.server import LOG_DIR, free_port, running
from bench.soak.exchange import Outcome, Shot, exchange, http_request
from bench.soak.models_dir import MODELS, write_gemma, write_models_dir
from bench.soak.models_mix import ModelsMix
from pyserve.cli.plan import plan_models
from pyserve.config import read_config
from pyserve.supervisor.model import PROCESS_BYTES

NAME = "soak-models"
SIZES = {"parallel": 8, "ctx_size": 1024, "kv_size": 2048}
N_LOADED = 2  # models at a time
N_CLIENTS = 8
LOOK_EACH_S = 0.5
CHANGE_EACH_S = 60.0
N_KEPT_FAILURES = 20


@dataclass(frozen=True)
class ModelsServer(Pyserve):
    """A server of a models directory: `settings.model` is that."""

    def command(self, settings: Settings) -> Command:
        command = super().command(settings)
        at = command.argv.index(str(settings.model))
        argv = [*command.argv[:at], "--models-dir", *command.argv[at:]]
        return Command(argv, command.flags, command.environ)


@dataclass
class Seen:
    """latencies: seconds by kind. n_ready: how often so many models were loaded at once."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    latencies: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    n_ready: Counter[int] = field(default_factory=Counter)
    n_changes: int = 0
    log: str = ""

    async def fire(self, port: int, shot: Shot) -> None:
        result = await exchange(port, shot)
        self.counts[result.kind, result.outcome] += 1
        self.latencies[result.kind].append(result.seconds)
        if result.outcome is not Outcome.DONE and len(self.failures) < N_KEPT_FAILURES:
            self.failures.append(f"{result.kind}: {result.outcome} {result.why}")


async def soak(port: int, directory: Path, seconds: float) -> Seen:
    """Clients that ask, while the models are watched and one of them is changed now and then."""
    seen, mix = Seen(), ModelsMix(seed=1)
    ends_s = time.monotonic() + seconds

    async def client() -> None:
        while time.monotonic() < ends_s:
            await seen.fire(port, mix.next())

    others = [
        asyncio.create_task(watch(seen, port)),
        asyncio.create_task(change(seen, port, directory)),
    ]
    await asyncio.gather(*(client() for _ in range(N_CLIENTS)))
    for other in others:
        other.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await other
    return seen


async def watch(seen: Seen, port: int) -> None:
    """Count how many models are loaded at once."""

    def count(body: bytes) -> int:
        models = json.loads(body)["data"]
        states = [model["meta"]["state"] for model in models if model["id"] in MODELS]
        seen.n_ready[states.count("ready")] += 1
        return 0

    while True:
        await seen.fire(port, Shot("watch", http_request("GET", "/v1/models"), count))
        await asyncio.sleep(LOOK_EACH_S)


async def change(seen: Seen, port: int, directory: Path) -> None:
    """Give a model another configuration, which needs another engine."""
    while True:
        await asyncio.sleep(CHANGE_EACH_S)
        seen.n_changes += 1
        write_gemma(directory, seen.n_changes)
        await seen.fire(port, ModelsMix(seed=0).reload())


def room_for_two_mib(directory: Path) -> int:
    """Memory that any two of the models fit in, and not all three."""
    config = read_config({"models_dir": directory, "models": [], **SIZES})
    sizes = sorted(spec.n_bytes + PROCESS_BYTES for spec in plan_models(config, may_pull=False))
    return (sum(sizes[1:]) + sizes[0] // 2) >> 20


def run(small: Path, gemma: Path, seconds: float) -> Seen:
    with tempfile.TemporaryDirectory(prefix="ps-models-") as name:
        directory = Path(name)
        write_models_dir(directory, small, gemma)
        flags = ("--log-level", "info", "--memory-limit-mib", str(room_for_two_mib(directory)))
        n_threads = max(len(os.sched_getaffinity(0)) // N_LOADED, 1)
        settings = Settings(directory, free_port(), n_threads, *SIZES.values())
        with running(ModelsServer(NAME, flags), settings):
            seen = asyncio.run(soak(settings.port, directory, seconds))
    seen.log = (LOG_DIR / f"{NAME}.log").read_text(errors="replace")
    return seen


def table(seen: Seen) -> str:
    """What was asked, and what became of it."""
    lines = [f"{'kind':<16}{'done':>7}{'other':>7}{'p50 ms':>9}{'p99 ms':>9}"]
    for kind in sorted(seen.latencies):
        n_done = seen.counts[kind, Outcome.DONE]
        times = quantiles_ms(seen.latencies[kind])
        n_other = len(seen.latencies[kind]) - n_done
        lines.append(f"{kind:<16}{n_done:>7}{n_other:>7}{times['p50']:>9.0f}{times['p99']:>9.0f}")
    loads = {model: seen.log.count(f"pool: loading model {model}") for model in MODELS}
    lines.append(f"loads: {loads}; models loaded at once: {dict(sorted(seen.n_ready.items()))}")
    lines.append(f"left to make room: {n_evictions(seen)}; changes: {seen.n_changes}")
    return "\n".join([*lines, *seen.failures])


def n_evictions(seen: Seen) -> int:
    return seen.log.count("to make room for")


def is_right(seen: Seen) -> bool:
    """Nothing failed, nothing was refused, there never were three, and models did come and go."""
    n_wrong = sum(n for (_, outcome), n in seen.counts.items() if outcome is not Outcome.DONE)
    return n_wrong == 0 and max(seen.n_ready) <= N_LOADED and n_evictions(seen) > 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("small", type=Path, help="a model of chats, such as SmolLM2")
    parser.add_argument("gemma", type=Path, help="a model of Gemma's family")
    parser.add_argument("--minutes", type=float, default=10.0)
    args = parser.parse_args()
    seen = run(args.small, args.gemma, 60 * args.minutes)
    print(table(seen))
    return 0 if is_right(seen) else 1


if __name__ == "__main__":
    sys.exit(main())
