"""A real server in its own processes, for end-to-end tests."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import httpx
import psutil

from bench.peers.tied import tied
from tests.support.limits import SOON_S

POLL_S = 0.05

SERVE = [sys.executable, "-c", "from pyserve.cli import main; main()", "serve"]


def free_port() -> int:
    """A port that nobody has now, and that the system gives to nobody until it is taken."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.SystemRandom().randrange(10_000, lowest) if lowest > 10_000 else 0
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])


def wait_until(is_true: Callable[[], object], timeout_s: float, what: str) -> None:
    """Poll until `is_true`; fails the test with `what` after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not is_true():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {what}")
        time.sleep(POLL_S)


class ServerProcess:
    """`pyserve serve` (or another command that serves `port`), and all processes under it.

    It does not outlive us, however we end.
    args: more command line. env: more environment, a None takes a variable away. directory: for
    runtime files and the log; it must be short enough for the paths of Unix sockets.
    output: descriptor of stdout and stderr instead of the log.
    """

    def __init__(
        self,
        directory: Path,
        args: Sequence[str] = (),
        *,
        env: Mapping[str, str | None] | None = None,
        command: Sequence[str] = SERVE,
        port: int | None = None,
        output: int | None = None,
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.directory = directory
        self._log_path = directory / "server.log"
        self._args = [*command, *args]
        if list(command[-len(SERVE) :]) == SERVE:
            self._args += ["--port", str(self.port)]
        wanted = {
            "XDG_RUNTIME_DIR": str(directory),
            "XDG_STATE_HOME": str(directory / "state"),
            "XDG_CACHE_HOME": str(directory / "cache"),
            "PYTHONUNBUFFERED": "1",
            **(env or {}),
        }
        merged = {**os.environ, **wanted}
        self._env = {name: value for name, value in merged.items() if value is not None}
        self._output = output
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._seen: dict[int, psutil.Process] = {}

    def start(self, *, wait: bool = True) -> ServerProcess:
        """Start; with `wait`, until /health is 200."""
        self._log = self._log_path.open("ab")
        output = self._log.fileno() if self._output is None else self._output
        self._process = subprocess.Popen(
            tied(self._args), stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=self._env
        )
        if wait:
            self.wait_healthy()
        return self

    def wait_healthy(self, timeout_s: float = SOON_S) -> None:
        """Until /health is 200; fails at once when the server has ended."""

        def is_healthy() -> bool:
            assert self.returncode is None, f"the server ended:\n{self.output()}"
            return self.health() == httpx.codes.OK

        try:
            wait_until(is_healthy, timeout_s, "/health is 200")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output()}") from None
        self.remember()

    def health(self) -> int | None:
        """The status of /health; None if nobody answers."""
        try:
            return httpx.get(f"{self.url}/health", timeout=SOON_S, trust_env=False).status_code
        except httpx.TransportError:
            return None

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return None if self._process is None else self._process.poll()

    def output(self) -> str:
        """Everything the processes wrote to stdout and stderr."""
        return self._log_path.read_text(errors="replace") if self._log_path.exists() else ""

    def remember(self) -> list[psutil.Process]:
        """All processes of the server that run now; they are ended with it whatever happens."""
        with contextlib.suppress(psutil.NoSuchProcess):
            root = psutil.Process(self.pid)
            for process in [root, *root.children(recursive=True)]:
                self._seen[process.pid] = process
        return self.alive()

    def alive(self) -> list[psutil.Process]:
        """The remembered processes that still run."""
        return [process for process in self._seen.values() if is_alive(process)]

    def find(self, part: str) -> list[psutil.Process]:
        """Processes of the server with `part` in their command line, parents before children."""
        found = []
        for process in self.remember():
            with contextlib.suppress(psutil.NoSuchProcess):
                if part in " ".join(process.cmdline()):
                    found.append(process)
        return sorted(found, key=lambda process: (process.create_time(), process.pid))

    def wait_for(self, part: str) -> list[psutil.Process]:
        """Like `find`, until there is one."""
        wait_until(lambda: self.find(part), SOON_S, f"a process {part}")
        return self.find(part)

    def engine(self) -> psutil.Process:
        """The newest engine process."""
        return self.wait_for("pyserve.engine.main")[-1]

    def master(self) -> psutil.Process:
        """The gunicorn master."""
        return self.wait_for("pyserve.supervisor.front_main")[0]

    def worker(self) -> psutil.Process:
        """The newest gunicorn worker."""
        master = self.master()
        wait_until(master.children, SOON_S, "a gunicorn worker")
        return max(master.children(), key=lambda process: (process.create_time(), process.pid))

    def signal(self, sig: int) -> None:
        assert self._process is not None, "not started"
        self._process.send_signal(sig)

    def wait(self, timeout_s: float = SOON_S) -> int:
        """The exit code."""
        assert self._process is not None, "not started"
        return self._process.wait(timeout_s)

    def wait_gone(self, timeout_s: float = SOON_S) -> None:
        """Until none of the remembered processes runs."""

        def describe() -> str:
            return f"these still run: {self.alive()}\n{self.output()}"

        try:
            wait_until(lambda: not self.alive(), timeout_s, "all processes are gone")
        except AssertionError as error:
            raise AssertionError(f"{error}: {describe()}") from None

    def close(self) -> None:
        """End everything that still runs, by pid."""
        if self._process is not None:
            self.remember()
            for process in self.alive():
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            self._process.wait(SOON_S)
            wait_until(lambda: not self.alive(), SOON_S, "killed processes are gone")
        if self._log is not None:
            self._log.close()

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


@contextlib.contextmanager
def short_dir() -> Iterator[Path]:
    """A private directory with a short path: Unix sockets are made in it."""
    with tempfile.TemporaryDirectory(prefix="ps-", ignore_cleanup_errors=True) as path:
        yield Path(path)


@contextlib.contextmanager
def served(*args: str) -> Iterator[ServerProcess]:
    """A healthy server with these arguments."""
    with short_dir() as directory, ServerProcess(directory, args) as server:
        yield server.start()


def is_alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def sse_events(response: httpx.Response) -> Iterator[dict[str, object] | str]:
    """The events of a stream: objects, and "[DONE]"."""
    for line in response.iter_lines():
        if line.startswith("data: "):
            data = line.removeprefix("data: ")
            yield data if data == "[DONE]" else json.loads(data)
