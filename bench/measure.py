"""Measures one peer in one cell: starts its server, loads it from another process, stops it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.load.workloads import WORDS_PER_TOKEN
from bench.peers import proc
from bench.peers.peer import Peer, PeerError, Settings
from bench.peers.server import Server, free_port, running
from bench.plan import Cell
from bench.rows import Row

ROOT = Path(__file__).parent.parent
IDLE_S = 1.0
CLIENT_TIMEOUT_S = 1800


@dataclass(frozen=True)
class Subject:
    """What is measured in every cell of a comparison.

    is_plain: its prompts are texts; for models without a chat template.
    """

    model: Path
    threads: int
    is_plain: bool = False
    words_per_token: float = WORDS_PER_TOKEN


def measure_cell(peer: Peer, cell: Cell, subject: Subject, seed: int) -> Row:
    """The row's part about this peer and cell. Raises PeerError when there is no result."""
    settings = settings_for(cell, subject)
    with running(peer, settings) as server:
        idle_before_s = server.cpu_s()
        time.sleep(IDLE_S)
        idle = round((server.cpu_s() - idle_before_s) / IDLE_S, 3)
        figures = _under_load(server, cell, subject, seed)
    return {
        "peer": peer.name,
        "peer_version": peer.version(),
        "flags": peer.command(settings).flags,
        "start_s": server.start_s,
        "idle_cores": idle,
        **figures,
    }


def settings_for(cell: Cell, subject: Subject) -> Settings:
    return Settings(
        subject.model,
        free_port(),
        subject.threads,
        cell.n_parallel,
        cell.ctx_tokens,
        cell.kv_tokens,
    )


def calibrate(peer: Peer, cell: Cell, subject: Subject) -> float:
    """Words of our prose per token of this model. Raises PeerError."""
    with running(peer, settings_for(cell, subject)) as server:
        words: float = _client(server.url, "--calibrate", *_endpoint(subject))["words_per_token"]
        return words


def _under_load(server: Server, cell: Cell, subject: Subject, seed: int) -> Row:
    """Figures of the client, and what the servers and everyone else used meanwhile."""
    cpu_s, machine = server.cpu_s(), proc.machine_times()
    started_s = time.monotonic()
    figures = _client(
        server.url,
        *("--workload", cell.workload, "--load", str(cell.load)),
        *("--requests", str(cell.n_requests), "--seed", str(seed)),
        *("--words-per-token", str(subject.words_per_token)),
        *_endpoint(subject),
    )
    used_s = server.cpu_s() - cpu_s
    after = proc.machine_times()
    elapsed_s = time.monotonic() - started_s
    other_s = after.busy_s - machine.busy_s - used_s - float(figures["client_cpu_s"])
    return {
        **figures,
        "server_cpu_s": round(used_s, 2),
        "other_cores": round(max(0.0, other_s) / elapsed_s, 3),
        "steal_cores": round((after.steal_s - machine.steal_s) / elapsed_s, 3),
        "peak_rss_mib": server.peak_rss_mib(),
    }


def _endpoint(subject: Subject) -> list[str]:
    return ["--plain"] if subject.is_plain else []


def _client(*args: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.load.run", *args]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=CLIENT_TIMEOUT_S, check=False
    )
    if done.returncode != 0:
        raise PeerError(f"the client failed: {done.stderr.strip().splitlines()[-1:]}")
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures
