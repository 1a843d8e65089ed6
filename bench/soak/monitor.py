"""What the processes of a server hold, looked at while it works (Linux, /proc)."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from bench.peers import proc
from bench.soak import judges
from bench.soak.exchange import Outcome, Shot, exchange, http_request

EVERY_S = 5.0
HEALTH = Shot("health", http_request("GET", "/health"), judges.anything)


@dataclass(frozen=True)
class Process:
    """One process. pss_kib: its memory, shared pages by share."""

    pid: int
    role: str
    pss_kib: int
    n_fds: int
    n_threads: int


@dataclass(frozen=True)
class Sample:
    """at_s: since the monitor started. health_ms: how long /health took, None = it failed."""

    at_s: float
    phase: str
    processes: list[Process]
    health_ms: float | None

    @property
    def mib(self) -> float:
        """Memory of all processes."""
        return sum(process.pss_kib for process in self.processes) / 1024


@dataclass
class Monitor:
    """Takes a sample every few seconds. phase: what goes on now; whoever changes it sets it."""

    pid: int
    port: int
    phase: str = ""
    samples: list[Sample] = field(default_factory=list)
    _began_s: float = field(default_factory=monotonic)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(EVERY_S)

    async def look(self) -> Sample:
        """Take a sample now."""
        health = await exchange(self.port, HEALTH)
        processes = await asyncio.to_thread(look, self.pid)
        took_ms = round(health.seconds * 1000, 1) if health.outcome is Outcome.DONE else None
        sample = Sample(round(monotonic() - self._began_s, 1), self.phase, processes, took_ms)
        self.samples.append(sample)
        return sample


def look(pid: int) -> list[Process]:
    """All processes of the tree; those that end meanwhile are left out."""
    found = []
    for child in proc.tree(pid):
        with contextlib.suppress(OSError):
            found.append(_look_at(child, pid))
    return found


def _look_at(pid: int, root: int) -> Process:
    path = proc.PROC / str(pid)
    status = _fields(path / "status")
    pss = _fields(path / "smaps_rollup")["Pss"]
    n_fds = len(list((path / "fd").iterdir()))
    role = _role(path, is_root=pid == root, is_child=int(status["PPid"]) == root)
    return Process(pid, role, int(pss.split()[0]), n_fds, int(status["Threads"]))


def _fields(path: Path) -> dict[str, str]:
    """`Name: value` lines. Raises OSError when the process has ended."""
    pairs = (line.partition(":") for line in path.read_text().splitlines())
    fields = {name: value.strip() for name, _, value in pairs}
    if len(fields) <= 1:  # of a zombie
        raise ProcessLookupError(path)
    return fields


def _role(path: Path, *, is_root: bool, is_child: bool) -> str:
    if is_root:
        return "supervisor"
    if b"pyserve.engine.main" in (path / "cmdline").read_bytes():
        return "engine"
    return "front master" if is_child else "front worker"
