"""A Ray cluster whose nodes are processes of this machine, for `tests/cluster` and `live.py`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.peers import proc
from pyserve.cluster.node import HEADLESS

PYSERVE = [sys.executable, "-c", "from pyserve.cli import main; main()"]
STORE_BYTES = 80 << 20
PATIENCE_S = 120.0
POLL_S = 0.1
ENVIRON = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_memory_monitor_refresh_ms": "0",  # others may fill this machine
    **HEADLESS,
}


class RayNodes:
    """A head without CPUs; `add` adds nodes. All their processes are gone with it."""

    def __init__(self) -> None:
        with contextlib.ExitStack() as stack:
            directory = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="ry-", dir="/tmp", ignore_cleanup_errors=True)
            )
            (Path(directory) / "ray").mkdir()
            os.environ |= ENVIRON | {"RAY_TMPDIR": directory}
            from ray.cluster_utils import Cluster  # noqa: PLC0415  # an extra, and slow

            self._cluster: Any = Cluster(
                initialize_head=True,
                head_node_args={
                    "num_cpus": 0,
                    "include_dashboard": False,
                    "object_store_memory": STORE_BYTES,
                },
            )
            stack.callback(self._end)
            self.address: str = self._cluster.address
            self._stack = stack.pop_all()

    def add(self, n_cpus: int) -> Any:
        """Another node."""
        return self._cluster.add_node(num_cpus=n_cpus, object_store_memory=STORE_BYTES)

    def remove(self, node: Any) -> None:
        """A node ends at once, as a machine without power."""
        self._cluster.remove_node(node, allow_graceful=False)

    @property
    def head(self) -> Any:
        return self._cluster.head_node

    @property
    def workers(self) -> list[Any]:
        """All nodes but the head."""
        return list(self._cluster.worker_nodes)

    def run(self, *args: str) -> Any:
        """What `pyserve cluster ... --json` prints. Raises RuntimeError."""
        done = subprocess.run(
            [*PYSERVE, "cluster", *args, "--address", self.address, "--json"],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return json.loads(done.stdout)

    def deploy(self, *args: str) -> Any:
        """Deploy a fake model: `deploy("m", "--replicas", "2")`."""
        return self.run("deploy", "--engine", "fake", "--threads", "1", *args)

    def clear(self) -> None:
        """No model is deployed any more."""
        if self.run("status"):
            self.run("down", "--all")
        wait_until(lambda: not self.engines(), "all engines have ended")
        wait_until(lambda: not self.run("status"), "no model is deployed")

    def engines(self, of: Any = None) -> list[int]:
        """Engine processes of a node or of all, the oldest first."""
        return self.find("pyserve.engine.main", of)

    def find(self, part: str, of: Any = None) -> list[int]:
        """Processes of a node or of all with `part` in their command line, the oldest first."""
        root = os.getpid() if of is None else self.raylet(of)
        return [pid for pid in sorted(proc.tree(root)) if pid != root and part in command(pid)]

    def raylet(self, node: Any) -> int:
        """The process of a node that starts its others."""
        (info,) = node.all_processes["raylet"]
        pid: int = info.process.pid
        return pid

    def gcs(self) -> int:
        """The head's server, without which nothing new is started."""
        (found,) = self.find("gcs/gcs_server")
        return found

    def of_node(self, node: Any) -> list[int]:
        """All processes of a node."""
        started = [info.process.pid for some in node.all_processes.values() for info in some]
        return [pid for root in started for pid in proc.tree(root)]

    def _end(self) -> None:
        known = {each for node in (self.head, *self.workers) for each in self.of_node(node)}
        names = {pid: command(pid) for pid in known}
        with contextlib.suppress(Exception):  # the head may be dead: then all are killed below
            self._cluster.shutdown()
        for pid, name in names.items():
            if name and command(pid) == name:  # it is still that process
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def __enter__(self) -> RayNodes:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()


def command(pid: int) -> str:
    """The process's command line; "" when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def wait_until(is_true: Callable[[], object], what: str, timeout_s: float = PATIENCE_S) -> float:
    """Poll until it is true; the seconds that it took. Raises TimeoutError."""
    began_s = time.monotonic()
    while not is_true():
        if time.monotonic() - began_s > timeout_s:
            raise TimeoutError(f"not within {timeout_s:g} s: {what}")
        time.sleep(POLL_S)
    return time.monotonic() - began_s
