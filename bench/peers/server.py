"""A running server of a peer."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from bench.peers import proc
from bench.peers.peer import Command, Peer, PeerError, Settings
from bench.peers.tied import tied

START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 30.0
LOG_DIR = Path("build/bench/logs")
_WARM_UP = {"model": "any", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2}
_HTTP_OK = 200


class Server:
    """Started by `running`. start_s: seconds from the start to the first answer."""

    def __init__(self, url: str, process: subprocess.Popen[bytes], start_s: float) -> None:
        self.url = url
        self.start_s = start_s
        self._process = process

    @property
    def pid(self) -> int:
        """Of the first process."""
        return self._process.pid

    def stop(self) -> int | None:
        """End it politely; its exit code, None when it does not end."""
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(STOP_TIMEOUT_S)
        return None

    def cpu_s(self) -> float:
        """CPU seconds of all its processes so far."""
        return proc.cpu_s(self._process.pid)

    def peak_rss_mib(self) -> float:
        """See `proc.peak_rss_mib`."""
        return proc.peak_rss_mib(self._process.pid)


@contextlib.contextmanager
def running(peer: Peer, settings: Settings) -> Iterator[Server]:
    """The peer's server, warmed up by one answer; stopped, with all it started, on leaving.

    Raises PeerError with the end of its log when it does not come up.
    """
    command = peer.command(settings)
    LOG_DIR.mkdir(parents=True, exist_ok=True)
    log = LOG_DIR / f"{peer.name}.log"
    started_s = time.monotonic()
    with log.open("wb") as output:
        process = start(command, output.fileno())
    try:
        wait_for_answer(process, settings.port, log)
        start_s = round(time.monotonic() - started_s, 2)
        yield Server(f"http://127.0.0.1:{settings.port}", process, start_s)
    finally:
        stop(process)


def start(command: Command, output_fd: int) -> subprocess.Popen[bytes]:
    """In a session of its own, so that it can be ended with all its children; it ends with us."""
    return subprocess.Popen(
        tied(command.argv),
        env={**os.environ, **command.environ},
        stdin=subprocess.DEVNULL,
        stdout=output_fd,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def wait_for_answer(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Until the server answers a chat completion. Raises PeerError."""
    deadline_s = time.monotonic() + START_TIMEOUT_S
    status = 0
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            raise PeerError(f"it ended with code {process.returncode}:\n{_tail(log)}")
        status = _ask(port)
        if status == _HTTP_OK:
            return
        time.sleep(0.1)
    raise PeerError(f"no answer in {START_TIMEOUT_S:.0f} s, last status {status}:\n{_tail(log)}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Politely, then by force; its whole session is gone when this returns."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_TIMEOUT_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _ask(port: int) -> int:
    """The HTTP status of a short completion, 0 when nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_TIMEOUT_S)
    try:
        body = json.dumps(_WARM_UP)
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/v1/chat/completions", body, headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])
