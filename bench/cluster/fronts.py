"""Servers over a Ray cluster on this machine, and at home beside it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from bench.cluster.nodes import PYSERVE, RayNodes, wait_until
from bench.peers import proc
from bench.peers.server import free_port
from bench.peers.tied import tied

OK = 200
PATIENCE_S = 60.0


class Front:
    """`pyserve serve` with these arguments."""

    def __init__(self, *args: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._directory = tempfile.TemporaryDirectory(prefix="fr-", dir="/tmp")
        home = self._directory.name
        environ = {"XDG_RUNTIME_DIR": home, "XDG_STATE_HOME": home, "XDG_CACHE_HOME": home}
        with Path(f"{home}/log").open("wb") as log:
            self._process = subprocess.Popen(
                tied([*PYSERVE, "serve", "--port", str(self.port), *args]),
                env=os.environ | environ,
                stdout=log,
                stderr=log,
            )
        wait_until(self.is_ready, "the server is ready")

    def is_ready(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/ready").status_code == OK
        return False

    @property
    def pids(self) -> list[int]:
        return proc.tree(self._process.pid)

    def kill(self) -> None:
        for pid in reversed(self.pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE_S)
        self._directory.cleanup()

    def __enter__(self) -> Front:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


@contextlib.contextmanager
def cluster(n_nodes: int = 3, n_cpus: int = 2) -> Iterator[RayNodes]:
    with RayNodes() as nodes:
        for _ in range(n_nodes):
            nodes.add(n_cpus)
        yield nodes


def clustered(nodes: RayNodes) -> Front:
    front = Front("--cluster", nodes.address)
    time.sleep(2.0)  # all replicas are connected
    return front
