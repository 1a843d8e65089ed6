"""A Ray cluster whose nodes are processes of this machine, for `tests/cluster` and `bench`."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from tests.support.limits import SOON_S
from tests.support.server import is_alive, wait_until

PYSERVE = [sys.executable, "-c", "from pyserve.cli import main; main()"]
STORE_BYTES = 80 << 20
ENVIRON = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_memory_monitor_refresh_ms": "0",  # other tests may fill this machine
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
}


class RayNodes:
    """A head without CPUs; `add` adds nodes. All processes are gone with it."""

    def __init__(self) -> None:
        with contextlib.ExitStack() as stack:
            self.directory = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="ry-", dir="/tmp"))
            )
            (self.directory / "ray").mkdir()
            os.environ |= ENVIRON | {"RAY_TMPDIR": str(self.directory)}
            from ray.cluster_utils import Cluster  # an extra, and slow

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
        return list(self._cluster.worker_nodes)

    def run(self, *args: str) -> Any:
        """`pyserve cluster ... --json`: what it prints."""
        done = subprocess.run(
            [*PYSERVE, "cluster", *args, "--address", self.address, "--json"],
            capture_output=True,
            text=True,
            check=False,
            timeout=3 * SOON_S,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def deploy(self, *args: str) -> list[dict[str, Any]]:
        """Deploy fake models: `deploy("m", "--replicas", "2")`."""
        return self.run("deploy", "--engine", "fake", "--threads", "1", *args)

    def clear(self) -> None:
        """No model is deployed any more."""
        if self.run("status"):
            self.run("down", "--all")
        wait_until(lambda: not self.engines(), SOON_S, "all engines have ended")
        wait_until(lambda: not self.run("status"), SOON_S, "no model is deployed")

    def engines(self, of: Any = None) -> list[psutil.Process]:
        """Engine processes, of a node or of all."""
        return self.find("pyserve.engine.main", of)

    def find(self, part: str, of: Any = None) -> list[psutil.Process]:
        """Processes of a node or of all with `part` in their command line, in their order."""
        roots = [psutil.Process()]
        if of is not None:
            roots = [psutil.Process(info.process.pid) for info in _raylets(of)]
        found = []
        for process in (each for root in roots for each in root.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                if part in " ".join(process.cmdline()):
                    found.append(process)
        return sorted(found, key=lambda process: (process.create_time(), process.pid))

    def raylet(self, node: Any) -> psutil.Process:
        (info,) = _raylets(node)
        return psutil.Process(info.process.pid)

    def gcs(self) -> psutil.Process:
        """The head's server, without which nothing new is started."""
        (found,) = self.find("gcs/gcs_server")
        return found

    def _end(self) -> None:
        started = [p for p in psutil.Process().children(recursive=True) if self._is_ours(p)]
        self._cluster.shutdown()
        for process in started:
            with contextlib.suppress(psutil.NoSuchProcess):
                if is_alive(process):
                    process.kill()

    def _is_ours(self, process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.Error):
            return str(self.directory) in " ".join(process.cmdline()) + str(process.environ())
        return False

    def __enter__(self) -> RayNodes:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()


def _raylets(node: Any) -> Sequence[Any]:
    return [info for name, some in node.all_processes.items() if name == "raylet" for info in some]
