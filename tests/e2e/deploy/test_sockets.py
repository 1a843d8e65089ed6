"""A socket that somebody else listens on, as systemd does, while servers come and go behind it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Self

import httpx
import pytest

from bench.peers.tied import tied

FAKE = ["--engine", "fake", "--kernels", "auto"]
# As systemd does it: the socket is descriptor 3, and the process that may take it is named.
ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": sys.argv[2]}
os.execv(sys.executable, [sys.executable, "-m", "pyserve", "serve", *sys.argv[3:]])
"""
BODY = {"messages": [{"role": "user", "content": "one two three"}]}
# A process of its own: collecting garbage stops that of the tests for seconds, and a client that
# connects and sends nothing for so long may be left by a server that stops.
CLIENTS = """
import json, os, sys, threading
import httpx

is_over = threading.Event()

def ask():
    while not is_over.is_set():
        try:
            answer = httpx.post(
                sys.argv[1], json=json.loads(sys.argv[2]), timeout=60, trust_env=False
            )
            said = str(answer.status_code)
        except httpx.HTTPError as error:
            said = repr(error)
        os.write(1, f"{said}\\n".encode())

threads = [threading.Thread(target=ask) for _ in range(3)]
for thread in threads:
    thread.start()
sys.stdin.read()
is_over.set()
for thread in threads:
    thread.join()
"""
TIMEOUT_S = 60.0
N_MORE = 10


class Clients:
    """Clients that ask again and again until the end of the block. answers: statuses, or errors."""

    def __init__(self, url: str) -> None:
        command = [sys.executable, "-c", CLIENTS, url, json.dumps(BODY)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(tied(command), stdin=pipe, stdout=pipe, text=True)
        self._reader = threading.Thread(target=self._read)
        self.answers: list[str] = []

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._process as process:
            assert process.stdin is not None
            process.stdin.close()
            self._reader.join()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.answers.append(line.strip())

    def wait_for(self, n_more: int) -> None:
        n_wanted = len(self.answers) + n_more
        while len(self.answers) < n_wanted:
            assert self._reader.is_alive()
            self._reader.join(0.05)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket that listens, whoever accepts."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=128)) as listener:
        yield listener


def start(directory: Path, listener: socket.socket, n: int = 1) -> subprocess.Popen[bytes]:
    """A server that is told of `n` sockets, and does not outlive us."""
    directory.mkdir()
    env = os.environ | {"XDG_RUNTIME_DIR": str(directory), "XDG_STATE_HOME": str(directory)}
    fd = listener.fileno()
    command = [sys.executable, "-c", ACTIVATE, str(fd), str(n), *FAKE, "--port", "1"]
    with (directory / "log").open("wb") as log:
        return subprocess.Popen(tied(command), env=env, pass_fds=[fd], stdout=log, stderr=log)


@pytest.mark.timeout(300)
def test_no_request_is_lost_between_two_servers(listener: socket.socket, run_dir: Path) -> None:
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    servers = [start(run_dir / "a", listener)]
    try:
        assert httpx.get(f"{url}/livez", timeout=TIMEOUT_S, trust_env=False).status_code == 200
        with Clients(f"{url}/v1/chat/completions") as clients:
            clients.wait_for(N_MORE)
            servers[0].send_signal(signal.SIGTERM)
            assert servers[0].wait(TIMEOUT_S) == 0, (run_dir / "a" / "log").read_text()
            servers.append(start(run_dir / "b", listener))
            clients.wait_for(N_MORE)
    finally:
        for server in servers:
            server.terminate()
        for server in servers:
            server.wait(TIMEOUT_S)
    ready = {"200", "503"}  # 503: the model of a new server is being loaded
    logs = "".join((run_dir / name / "log").read_text() for name in "ab")
    assert set(clients.answers) <= ready, logs


def test_several_sockets_are_refused(listener: socket.socket, run_dir: Path) -> None:
    assert start(run_dir / "a", listener, 2).wait(TIMEOUT_S) == 1
    assert "2 sockets were passed" in (run_dir / "a" / "log").read_text()
